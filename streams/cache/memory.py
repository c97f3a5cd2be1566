"""The memory tier: least recently used first out, by bytes, each entry for a time.

Two segments with a share each; a segment's overflow never evicts another's. Statistics cost nothing to read: they are
counted as things happen.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, TypeVar

V = TypeVar("V")

SegmentName = Literal["responses", "metadata"]

ENTRY_BYTES: Final = 590
"""What an entry costs besides its payload: key, tuple, answer object, node of the ordered dictionary, rounding of the
allocator. Measured as RSS gained per entry: 575 with empty payloads, 594 with payloads of 2 KB
(tests/integration/test_cache_memory.py)."""


@dataclass(slots=True)
class SegmentStats:
    """Counts since the start; `entries` and `bytes` are of now."""

    entries: int = 0
    bytes: int = 0
    hits: int = 0
    misses: int = 0
    evicted: int = 0
    expired: int = 0
    refused: int = 0
    """Values larger than the whole segment."""


@dataclass(slots=True)
class Segment(Generic[V]):
    """One segment of at most `capacity_bytes`. Times are seconds of any one clock."""

    capacity_bytes: int
    stats: SegmentStats = field(default_factory=SegmentStats)
    _entries: OrderedDict[bytes, tuple[V, int, float]] = field(default_factory=OrderedDict)

    def get(self, key: bytes, now: float) -> V | None:
        """The value, if it is there and not expired; it is the most recently used one then."""
        entry = self._entries.get(key)
        if entry is None:
            self.stats.misses += 1
            return None
        if entry[2] <= now:
            self._remove(key)
            self.stats.expired += 1
            self.stats.misses += 1
            return None
        self._entries.move_to_end(key)
        self.stats.hits += 1
        return entry[0]

    def put(self, key: bytes, value: V, payload_bytes: int, expires_at: float, now: float) -> None:
        """Keep a value; the least recently used ones make room for it, and go besides when they are expired."""
        self.discard(key)
        self._drop_expired(now)
        size = payload_bytes + ENTRY_BYTES
        if size > self.capacity_bytes:
            self.stats.refused += 1
            return
        self._make_room(size)
        self._entries[key] = (value, size, expires_at)
        self.stats.entries += 1
        self.stats.bytes += size

    def discard(self, key: bytes) -> None:
        """Forget a key, if it is there."""
        if key in self._entries:
            self._remove(key)

    def keys_of(self, wanted: Callable[[V], bool]) -> list[bytes]:
        """Keys of the values that are wanted. Takes time in proportion to what is held."""
        return [key for key, (value, _, _) in self._entries.items() if wanted(value)]

    def resize(self, capacity_bytes: int) -> None:
        """Hold at most so much from now on; what is too much goes at once, the least recently used first."""
        self.capacity_bytes = capacity_bytes
        self._make_room(0)

    def clear(self) -> None:
        self._entries.clear()
        self.stats.entries = self.stats.bytes = 0

    def _drop_expired(self, now: float) -> None:
        """Two a put: what nobody asks for again would otherwise be held until the segment is full."""
        for _ in range(2):
            oldest = next(iter(self._entries), None)
            if oldest is None or self._entries[oldest][2] > now:
                return
            self._remove(oldest)
            self.stats.expired += 1

    def _make_room(self, size: int) -> None:
        while self.stats.bytes + size > self.capacity_bytes:
            self._remove(next(iter(self._entries)))
            self.stats.evicted += 1

    def _remove(self, key: bytes) -> None:
        _, size, _ = self._entries.pop(key)
        self.stats.entries -= 1
        self.stats.bytes -= size


class MemoryTier(Generic[V]):
    """The segments by name. The tier can be made smaller than it was set, and grow again up to that."""

    def __init__(self, size_bytes: int, shares: Mapping[SegmentName, float]) -> None:
        self._set_bytes = size_bytes
        self.size_bytes = size_bytes
        """What the tier may hold now."""
        self.responses: Segment[V] = Segment(int(size_bytes * shares["responses"]))
        """Answers by cache key."""
        self.metadata: Segment[V | bytes] = Segment(int(size_bytes * shares["metadata"]))
        """Finished requests by identity: the key of their answer, or the answer where it may not be cached."""
        self._segments: tuple[tuple[float, Segment[Any]], ...] = (
            (shares["responses"], self.responses),
            (shares["metadata"], self.metadata),
        )

    @property
    def held_bytes(self) -> int:
        return sum(segment.stats.bytes for _, segment in self._segments)

    @property
    def wants_more(self) -> bool:
        """Whether it is smaller than it was set, and a segment has (nearly) filled what it was left."""
        return self.size_bytes < self._set_bytes and any(
            segment.stats.bytes >= 0.9 * segment.capacity_bytes for share, segment in self._segments if share
        )

    def shrink(self, by_bytes: int) -> None:
        """Give up at least so much of what is held. Each segment keeps its share of what is left."""
        keep = max(0, self.held_bytes - by_bytes)
        low, high = 0, self.size_bytes
        while low < high:  # the largest size that holds no more: segments that are not full lose nothing
            size = (low + high + 1) // 2
            held = sum(min(segment.stats.bytes, int(share * size)) for share, segment in self._segments)
            low, high = (size, high) if held <= keep else (low, size - 1)
        self._resize(low)

    def grow(self, by_bytes: int) -> None:
        """Let it hold so much more, at most what it was set."""
        self._resize(min(self._set_bytes, self.size_bytes + by_bytes))

    def discard_all(self, wanted: Callable[[V | bytes], bool]) -> int:
        """Forget every value that is wanted; how many."""
        gone = 0
        for _, segment in self._segments:
            for key in segment.keys_of(wanted):
                segment.discard(key)
                gone += 1
        return gone

    def stats(self) -> dict[SegmentName, SegmentStats]:
        return {"responses": self.responses.stats, "metadata": self.metadata.stats}

    def _resize(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        for share, segment in self._segments:
            segment.resize(int(share * size_bytes))
