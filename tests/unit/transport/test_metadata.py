"""What is known of topics from answer to answer, against a model that remembers everything."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aiokafka.cluster import ClusterMetadata
from hypothesis import given
from hypothesis import strategies as st

from streams.transport.metadata import KnownTopics

NAMES = ("a", "b")
CODES = (0, 0, 0, 3, 5, 29, 41)


@dataclass
class Told:
    """What an answer of version 12 says of a topic."""

    name: str
    code: int
    topic_id: int
    partitions: int

    def row(self) -> tuple[Any, ...]:
        parts: list[Any] = (
            [] if self.code else [(0, number, 1, 0, [1], [1], [], {}) for number in range(self.partitions)]
        )
        return (self.code, self.name, bytes([self.topic_id]) * 16, False, parts, 0, {})


@dataclass
class Answer:
    topics: list[tuple[Any, ...]]
    API_VERSION: int = 12
    controller_id: int = 1
    brokers: list[Any] = field(default_factory=lambda: [(1, "h", 9092, None, {})])


told = st.builds(Told, st.sampled_from(NAMES), st.sampled_from(CODES), st.integers(1, 3), st.integers(1, 4))
answers = st.lists(st.lists(told, max_size=2, unique_by=lambda each: each.name), max_size=12)


@given(answers)
def test_a_topic_that_failed_stays_as_it_was_and_one_that_is_unknown_twice_is_gone(said: list[list[Told]]) -> None:
    known, cluster = KnownTopics(), ClusterMetadata()
    there: dict[str, int] = {}
    unknown_before: set[str] = set()
    ids: dict[str, int] = {}
    anew: set[str] = set()
    for answer in said:
        read, failed = known.read(Answer([each.row() for each in answer]), cluster._partitions)
        cluster.update_metadata(read)
        now: dict[str, int] = {}
        for each in answer:
            if each.code == 0:
                now[each.name] = each.partitions
                unknown_before.discard(each.name)
                if ids.get(each.name, each.topic_id) != each.topic_id:
                    anew.add(each.name)
                ids[each.name] = each.topic_id
            elif each.name in there and not (each.code == 3 and each.name in unknown_before):
                now[each.name] = there[each.name]
                assert each.name in failed
                if each.code == 3:
                    unknown_before.add(each.name)
        there = now
        assert {name: len(found) for name, found in cluster._partitions.items() if found} == there
    assert known.made_anew == anew
