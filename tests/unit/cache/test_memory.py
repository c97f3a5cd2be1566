"""The memory tier against a plain list of entries, least recently used first, with a clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from streams.cache.memory import ENTRY_BYTES, MemoryTier, Segment

KEYS = st.binary(min_size=1, max_size=1)
CAPACITY = 5 * ENTRY_BYTES


class SegmentModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.segment: Segment[int] = Segment(CAPACITY)
        self.model: list[tuple[bytes, int, int, float]] = []  # key, value, size, expires_at; the oldest first
        self.now = 0.0
        self.hits = self.misses = 0

    def found(self, key: bytes) -> tuple[bytes, int, int, float] | None:
        return next((entry for entry in self.model if entry[0] == key), None)

    @rule(seconds=st.floats(0, 10))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(key=KEYS, value=st.integers(), size=st.integers(0, 6 * ENTRY_BYTES), ttl_s=st.floats(0.1, 20))
    def put(self, key: bytes, value: int, size: int, ttl_s: float) -> None:
        self.segment.put(key, value, size, self.now + ttl_s, self.now)
        self.model = [entry for entry in self.model if entry[0] != key]
        for _ in range(2):
            if self.model and self.model[0][3] <= self.now:
                self.model.pop(0)
        if size + ENTRY_BYTES <= CAPACITY:
            while sum(entry[2] for entry in self.model) + size + ENTRY_BYTES > CAPACITY:
                self.model.pop(0)
            self.model.append((key, value, size + ENTRY_BYTES, self.now + ttl_s))

    @rule(key=KEYS)
    def get(self, key: bytes) -> None:
        entry = self.found(key)
        wanted = entry[1] if entry is not None and entry[3] > self.now else None
        assert self.segment.get(key, self.now) == wanted
        self.hits += wanted is not None
        self.misses += wanted is None
        if entry is not None:
            self.model.remove(entry)
            if wanted is not None:
                self.model.append(entry)

    @rule(key=KEYS)
    def discard(self, key: bytes) -> None:
        self.segment.discard(key)
        self.model = [entry for entry in self.model if entry[0] != key]

    @invariant()
    def the_counts_agree(self) -> None:
        stats = self.segment.stats
        assert (stats.entries, stats.bytes) == (len(self.model), sum(entry[2] for entry in self.model))
        assert (stats.hits, stats.misses) == (self.hits, self.misses)


TestSegmentAgreesWithTheModel = SegmentModel.TestCase


@given(st.lists(st.tuples(KEYS, st.integers(0, 2000)), max_size=200))
def test_a_segments_overflow_never_evicts_anothers(puts: list[tuple[bytes, int]]) -> None:
    tier: MemoryTier[bytes] = MemoryTier(10_000, {"responses": 0.7, "metadata": 0.3})
    tier.metadata.put(b"kept", b"finished", 0, 1e9, 0)
    for key, size in puts:
        tier.responses.put(key, b"answer", size, 1e9, 0)
    assert tier.metadata.get(b"kept", 0) == b"finished"
    assert tier.stats()["responses"].bytes <= 7_000


def test_a_value_larger_than_its_segment_is_refused_and_replaces_nothing_else() -> None:
    segment: Segment[str] = Segment(CAPACITY)
    segment.put(b"a", "small", 0, 1e9, 0)
    segment.put(b"b", "huge", CAPACITY, 1e9, 0)
    assert (segment.get(b"a", 0), segment.get(b"b", 0), segment.stats.refused) == ("small", None, 1)


@given(st.floats(1, 100), st.integers(1, 50))
def test_answers_that_nobody_asks_for_again_are_held_for_twice_their_time_at_most(ttl_s: float, a_ttl: int) -> None:
    segment: Segment[str] = Segment(10**9)
    for number in range(20 * a_ttl):
        now = number * ttl_s / a_ttl
        segment.put(str(number).encode(), "answer", 0, now + ttl_s, now)
        assert segment.stats.entries <= 2 * a_ttl + 2


def filled(held: dict[str, int]) -> MemoryTier[bytes]:
    """A tier of 1 MB whose segments hold so many entries of 1,000 bytes."""
    tier: MemoryTier[bytes] = MemoryTier(1_000_000, {"responses": 0.7, "metadata": 0.3})
    for name, count in held.items():
        for number in range(count):
            getattr(tier, name).put(str(number).encode(), b"", 1_000 - ENTRY_BYTES, 1.0, 0.0)
    return tier


def test_a_tier_that_shrinks_takes_from_the_segments_that_are_over_their_share_of_what_is_left() -> None:
    tier = filled({"responses": 500, "metadata": 20})
    tier.shrink(200_000)
    assert (tier.responses.stats.bytes, tier.metadata.stats.bytes) == (300_000, 20_000)
    assert tier.responses.get(b"499", 0.0) is not None, "the least recently used go"
    assert tier.responses.get(b"0", 0.0) is None
    assert tier.wants_more


@given(st.integers(0, 700), st.integers(0, 300), st.integers(0, 1_200_000), st.integers(0, 1_200_000))
def test_a_tier_gives_up_what_is_asked_and_never_grows_beyond_what_was_set(
    responses: int, metadata: int, shrink: int, grow: int
) -> None:
    tier = filled({"responses": responses, "metadata": metadata})
    before = tier.held_bytes
    tier.shrink(shrink)
    assert max(0, before - shrink - 4_000) <= tier.held_bytes <= max(0, before - shrink)
    tier.grow(grow)
    assert tier.size_bytes <= 1_000_000
    for name, stats in tier.stats().items():
        assert stats.bytes <= getattr(tier, name).capacity_bytes
