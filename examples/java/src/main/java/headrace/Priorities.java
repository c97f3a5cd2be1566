package headrace;

import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * How do urgent requests overtake the others? Each class has a topic of its own.
 *
 * <p>mvn -q compile exec:java -Dexec.mainClass=headrace.Priorities
 */
public final class Priorities {
  public static void main(String[] arguments) throws Exception {
    List<String> classes = List.of("high", "normal", "low");
    try (Headrace client = new Headrace()) {
      List<String> events = new ArrayList<>();
      for (String priority : classes) {
        events.add(client.publish("agent-17", priority, "A question of class " + priority));
      }
      Map<String, JsonNode> answers = client.await(events, Duration.ofMinutes(1));
      for (int index = 0; index < events.size(); index++) {
        JsonNode answer = answers.get(events.get(index));
        double waitedMs = answer.at("/timing/queue_ms").asDouble();
        System.out.printf("%s: %s, waited %.0f ms in the queue%n", classes.get(index), answer.get("status").asText(), waitedMs);
      }
    }
  }
}
