package headrace;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.util.HexFormat;

/** Holds the partitioner to the contract's test vectors: mvn compile exec:java -Dexec.mainClass=headrace.GoldenVectors */
public final class GoldenVectors {
  public static void main(String[] arguments) throws Exception {
    String path = arguments.length > 0 ? arguments[0] : "../../topics/golden_vectors.json";
    int checked = 0;
    for (JsonNode vector : new ObjectMapper().readTree(new File(path))) {
      byte[] key = HexFormat.of().parseHex(vector.get("key_hex").asText());
      int partition = ContractPartitioner.partition(key, vector.get("partitions").asInt());
      if (partition != vector.get("partition").asInt()) {
        throw new AssertionError(vector + ": " + partition);
      }
      checked++;
    }
    System.out.println(checked + " vectors hold");
  }
}
