package headrace;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.TimeoutException;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** All that a Java program needs to ask a Headrace fleet. For one thread. */
public final class Headrace implements AutoCloseable {
  private static final String RESPONSES = "agent.responses";
  private static final ObjectMapper JSON = new ObjectMapper();

  private final KafkaProducer<String, String> producer;
  private final KafkaConsumer<String, byte[]> answers;

  /** Connects to KAFKA_BOOTSTRAP_SERVERS, by default 127.0.0.1:9092, and begins to read answers. */
  public Headrace() {
    String brokers = System.getenv().getOrDefault("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092");
    producer =
        new KafkaProducer<>(
            Map.of(
                "bootstrap.servers", brokers,
                "acks", "all",
                "enable.idempotence", true,
                "partitioner.class", ContractPartitioner.class.getName()),
            new StringSerializer(),
            new StringSerializer());
    // Without a group: this process alone reads all partitions. A service would use a group, or a topic of its own.
    answers =
        new KafkaConsumer<>(
            Map.of("bootstrap.servers", brokers), new StringDeserializer(), new ByteArrayDeserializer());
    List<TopicPartition> partitions =
        answers.partitionsFor(RESPONSES).stream().map(each -> new TopicPartition(RESPONSES, each.partition())).toList();
    answers.assign(partitions);
    answers.seekToEnd(partitions);
    partitions.forEach(answers::position); // the seek is lazy; before the first request, so that no answer is missed
  }

  /**
   * Publishes a chat of one message, and returns its event id: the place of its record on the log, which the answer bears in
   * the header ce_id. A request_id is a claim that anybody can make; an event id belongs to one record.
   */
  public String publish(String agentId, String priority, String question) throws Exception {
    ObjectNode request = JSON.createObjectNode();
    request.put("request_id", UUID.randomUUID().toString()).put("agent_id", agentId).put("timeout_s", 30);
    ObjectNode payload = request.putObject("payload").put("model", "small").put("max_tokens", 64);
    payload.putArray("messages").addObject().put("role", "user").put("content", question);
    String topic = "agent.requests." + priority;
    RecordMetadata sent =
        producer.send(new ProducerRecord<>(topic, agentId, JSON.writeValueAsString(request))).get();
    return sent.topic() + ":" + sent.partition() + ":" + sent.offset();
  }

  /** Reads until each of the events has its answer, by event id. The first one counts: answers come at least once. */
  public Map<String, JsonNode> await(List<String> events, Duration timeout) throws IOException, TimeoutException {
    Map<String, JsonNode> found = new HashMap<>();
    Set<String> wanted = new HashSet<>(events);
    long giveUpAt = System.nanoTime() + timeout.toNanos();
    while (found.size() < wanted.size()) {
      if (System.nanoTime() > giveUpAt) {
        throw new TimeoutException("no answer in time");
      }
      for (ConsumerRecord<String, byte[]> record : answers.poll(Duration.ofMillis(200))) {
        Header header = record.headers().lastHeader("ce_id");
        String event = header == null ? "" : new String(header.value(), StandardCharsets.UTF_8);
        if (wanted.contains(event) && !found.containsKey(event)) {
          found.put(event, JSON.readTree(record.value()));
        }
      }
    }
    return found;
  }

  @Override
  public void close() {
    producer.close();
    answers.close();
  }
}
