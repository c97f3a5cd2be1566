// Publish one request and wait for its answer.
//
//   npm install && node request.js "What is a headrace?"
//
// The broker is KAFKA_BOOTSTRAP_SERVERS, by default 127.0.0.1:9092.
import { randomUUID } from "node:crypto";
import { Kafka, logLevel } from "kafkajs";
import xxhash from "xxhash-wasm";

const { h64Raw } = await xxhash();

// The contract's partitioner. Any other one works too; with this one an agent stays with one worker.
const partitioner = () => ({ partitionMetadata, message }) => {
  let number = h64Raw(Buffer.from(message.key), 0n);
  let bucket = -1;
  let candidate = 0;
  while (candidate < partitionMetadata.length) {
    bucket = candidate;
    number = BigInt.asUintN(64, number * 2862933555777941757n + 1n);
    candidate = Math.trunc((bucket + 1) * (2 ** 31 / (Number(number >> 33n) + 1)));
  }
  return bucket;
};

const brokers = (process.env.KAFKA_BOOTSTRAP_SERVERS ?? "127.0.0.1:9092").split(",");
const kafka = new Kafka({ brokers, logLevel: logLevel.ERROR });
const agentId = "agent-17";
const requestId = randomUUID();
const content = process.argv.slice(2).join(" ") || "What is a headrace?";
const request = {
  request_id: requestId,
  agent_id: agentId,
  timeout_s: 30,
  payload: { model: "small", messages: [{ role: "user", content }], max_tokens: 64 },
};

// KafkaJS always reads in a group; this one is of this process alone, and commits nothing.
const admin = kafka.admin();
const producer = kafka.producer({ createPartitioner: partitioner });
const answers = kafka.consumer({ groupId: `example-${requestId}` });
await Promise.all([admin.connect(), producer.connect(), answers.connect()]);
const ends = await admin.fetchTopicOffsets("agent.responses");

const answer = new Promise((resolve, reject) => {
  setTimeout(() => reject(new Error("no answer within a minute")), 60_000).unref();
  answers.subscribe({ topic: "agent.responses" }).then(() =>
    answers.run({
      autoCommit: false,
      eachMessage: async ({ message }) => {
        const found = JSON.parse(message.value);
        if (found.request_id === requestId) resolve(found); // at least once: the first answer counts
      },
    }),
  );
});
await new Promise((joined) => answers.on(answers.events.GROUP_JOIN, joined));
// From where the topic ended before the request was sent, so that its answer cannot be missed.
for (const { partition, high } of ends) answers.seek({ topic: "agent.responses", partition, offset: high });

await producer.send({ topic: "agent.requests.normal", messages: [{ key: agentId, value: JSON.stringify(request) }] });
console.log(JSON.stringify(await answer, null, 2));
await Promise.all([answers.disconnect(), producer.disconnect(), admin.disconnect()]);
