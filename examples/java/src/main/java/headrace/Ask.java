package headrace;

import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import java.util.List;

/** How do I ask a question and await its answer? mvn -q compile exec:java -Dexec.mainClass=headrace.Ask */
public final class Ask {
  public static void main(String[] arguments) throws Exception {
    String question = arguments.length > 0 ? String.join(" ", arguments) : "What is a headrace?";
    try (Headrace client = new Headrace()) {
      String event = client.publish("agent-17", "normal", question);
      JsonNode answer = client.await(List.of(event), Duration.ofMinutes(1)).get(event);
      if (!answer.get("status").asText().equals("ok")) {
        throw new IllegalStateException(answer.get("status").asText() + ": " + answer.get("error"));
      }
      System.out.println(answer.at("/payload/choices/0/message/content").asText());
    }
  }
}
