// All that a Node program needs to ask a Headrace fleet: the contract's partitioner, and publishing and awaiting.
import { randomUUID } from "node:crypto";
import { Kafka, logLevel } from "kafkajs";
import xxhash from "xxhash-wasm";

const { h64Raw } = await xxhash();
const RESPONSES = "agent.responses";

/** The contract's partitioner. Any other one works too; with this one an agent stays with one worker. */
export const partition = (key, partitions) => {
  let number = h64Raw(key, 0n);
  let bucket = 0;
  let candidate = 0;
  while (candidate < partitions) {
    bucket = candidate;
    number = BigInt.asUintN(64, number * 2862933555777941757n + 1n);
    candidate = Math.trunc((bucket + 1) * (2 ** 31 / (Number(number >> 33n) + 1)));
  }
  return bucket;
};

/** Connect to KAFKA_BOOTSTRAP_SERVERS, by default 127.0.0.1:9092, and begin to read answers. */
export const open = async () => {
  const brokers = (process.env.KAFKA_BOOTSTRAP_SERVERS ?? "127.0.0.1:9092").split(",");
  const kafka = new Kafka({ brokers, logLevel: logLevel.ERROR });
  const createPartitioner = () => ({ partitionMetadata, message }) =>
    partition(Buffer.from(message.key), partitionMetadata.length);
  const admin = kafka.admin();
  const producer = kafka.producer({ createPartitioner });
  // KafkaJS always reads in a group; this one is of this process alone, and commits nothing.
  const consumer = kafka.consumer({ groupId: `example-${randomUUID()}` });
  await Promise.all([admin.connect(), producer.connect(), consumer.connect()]);

  // Answers by event id, the place of the request's record on the log, which the answer bears in the header ce_id. A
  // request_id is a claim that anybody can make; an event id belongs to one record. What comes before we know the id of
  // our own record is kept: a cached answer can overtake the broker's ack. A service would bound this.
  const answers = new Map();
  const waiting = new Map();
  const ends = await admin.fetchTopicOffsets(RESPONSES);
  const joined = new Promise((resolve) => consumer.on(consumer.events.GROUP_JOIN, resolve));
  await consumer.subscribe({ topic: RESPONSES });
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ message }) => {
      const event = message.headers.ce_id?.toString();
      if (event === undefined || answers.has(event)) return; // at least once: the first answer counts
      answers.set(event, message.value);
      waiting.get(event)?.();
    },
  });
  await joined;
  // From where the topic ended before the first request was sent, so that no answer can be missed.
  for (const { partition: number, high } of ends) {
    consumer.seek({ topic: RESPONSES, partition: number, offset: high });
  }

  return {
    /** Publish a chat of a class (high, normal, low) and await its answer. */
    async ask(payload, { agentId = "agent-17", priority = "normal", requestId = randomUUID(), timeoutS = 30 } = {}) {
      const topic = `agent.requests.${priority}`;
      const value = JSON.stringify({ request_id: requestId, agent_id: agentId, timeout_s: timeoutS, payload });
      const [sent] = await producer.send({ topic, acks: -1, messages: [{ key: agentId, value }] });
      const event = `${topic}:${sent.partition}:${sent.baseOffset}`;
      if (!answers.has(event)) {
        await new Promise((resolve, reject) => {
          const timer = setTimeout(() => reject(new Error(`no answer to ${requestId}`)), (timeoutS + 10) * 1000);
          waiting.set(event, () => {
            clearTimeout(timer);
            resolve();
          });
        }).finally(() => waiting.delete(event));
      }
      return JSON.parse(answers.get(event));
    },
    close: () => Promise.all([consumer.disconnect(), producer.disconnect(), admin.disconnect()]),
  };
};
