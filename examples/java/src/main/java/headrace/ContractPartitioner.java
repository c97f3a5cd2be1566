package headrace;

import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;
import net.jpountz.xxhash.XXHashFactory;
import org.apache.kafka.clients.producer.Partitioner;
import org.apache.kafka.common.Cluster;

/** The contract's partitioner. Any other one works too; with this one an agent stays with one worker. */
public final class ContractPartitioner implements Partitioner {
  /** Jump hash over xxh64: the partition of a key, 0 to partitions - 1. */
  static int partition(byte[] key, int partitions) {
    long number = XXHashFactory.fastestJavaInstance().hash64().hash(key, 0, key.length, 0L);
    int bucket = 0;
    long candidate = 0;
    while (candidate < partitions) {
      bucket = (int) candidate;
      number = number * 2862933555777941757L + 1;
      candidate = (long) ((bucket + 1) * ((double) (1L << 31) / (double) ((number >>> 33) + 1)));
    }
    return bucket;
  }

  @Override
  public int partition(String topic, Object key, byte[] keyBytes, Object value, byte[] valueBytes, Cluster cluster) {
    int partitions = cluster.partitionCountForTopic(topic);
    return keyBytes == null ? ThreadLocalRandom.current().nextInt(partitions) : partition(keyBytes, partitions);
  }

  @Override
  public void configure(Map<String, ?> configs) {}

  @Override
  public void close() {}
}
