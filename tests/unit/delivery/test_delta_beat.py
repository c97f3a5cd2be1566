"""How far apart deltas leave, by how busy the loop is; and readers that rest meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.delivery.delta_beat import LONGEST_S, SHORTEST_S, Beat
from streams.delivery.deltas import DeltaPublisher
from streams.kafka.cluster import Cluster
from streams.pipeline import Deltas
from tests.support.requests import pending, until
from tests.unit.delivery.test_outbox import Brokers

CHUNK = b'{"choices":[]}'


def lengths(share: float, late_s: float = 0.0, for_s: float = 5.0) -> list[float]:
    """Of beats in a loop that is busy for this share of its time."""
    beat, now, found = Beat(100.0, 7.0), 100.0, [SHORTEST_S]
    while now < 100.0 + for_s:
        now += found[-1] + late_s
        found.append(beat.after(now, 7.0 + share * (now - 100.0), late_s))
    return found


@given(share=st.floats(0, 1), late_s=st.floats(0, 1))
def test_a_beat_is_never_shorter_or_longer_than_its_bounds(share: float, late_s: float) -> None:
    assert all(SHORTEST_S <= each <= LONGEST_S for each in lengths(share, late_s, for_s=1.0))


def test_beats_are_short_while_the_loop_has_time_and_long_once_it_has_none() -> None:
    assert set(lengths(0.3)) == {SHORTEST_S}
    assert lengths(1.0)[-1] == pytest.approx(LONGEST_S, abs=0.001)


@given(shares=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_a_busier_loop_has_no_shorter_beats(shares: tuple[float, float]) -> None:
    calm, busy = sorted(shares)
    assert lengths(calm)[-1] <= lengths(busy)[-1] + 1e-9


def test_a_beat_that_comes_late_makes_the_next_one_longer_at_once_and_not_for_good() -> None:
    beat = Beat(0.0, 0.0)
    assert beat.after(0.045, 0.0, 0.02) == pytest.approx(SHORTEST_S + 0.04)
    assert beat.after(0.07, 0.0, 0.0) == SHORTEST_S


def test_where_longer_beats_cost_less_the_length_settles_and_does_not_swing() -> None:
    """A tenth of the loop is spent whatever the beats are, the rest for each beat: 0.7 of it at the shortest."""
    beat, now, busy, found = Beat(0.0, 0.0), 0.0, 0.0, [SHORTEST_S]
    while now < 10.0:
        now += found[-1]
        busy += found[-1] * 0.1 + 0.6 * SHORTEST_S
        found.append(beat.after(now, busy, 0.0))
    late = found[len(found) // 2 :]
    assert max(abs(after - before) for before, after in pairwise(late)) < 0.005
    assert 0.03 < late[-1] < 0.06


class Known(Brokers):
    def partitions_for_topic(self, topic: str) -> set[int]:
        return {0}


def publisher_with_beats_of(length_s: float, brokers: Brokers) -> tuple[DeltaPublisher, Deltas]:
    publisher = DeltaPublisher(Cluster(brokers), lambda: 1.0)
    publisher._beat = Beat(float("inf"), 0.0)
    publisher._beat._calm_length_s = publisher._beat.length_s = length_s
    deltas = publisher.of(replace(pending(), streams=True))
    assert deltas is not None
    deltas.begin(restart=False)
    return publisher, deltas


async def test_a_reader_rests_only_while_its_chunks_wait_for_a_long_beat() -> None:
    publisher, deltas = publisher_with_beats_of(0.05, Known())
    deltas.put(CHUNK, True)
    assert deltas.rest() is None, "the first one has left at once"
    deltas.put(CHUNK, True)
    assert deltas.rest() is not None
    deltas.end()
    assert deltas.rest() is None, "nothing waits"
    await publisher.stop()
    publisher, deltas = publisher_with_beats_of(SHORTEST_S, Known())
    deltas.put(CHUNK, True)
    deltas.put(CHUNK, True)
    assert deltas.rest() is None, "beats are short"
    await publisher.stop()


async def test_what_a_reader_finds_after_its_rest_leaves_with_that_beat() -> None:
    brokers = Known()
    publisher, deltas = publisher_with_beats_of(0.05, brokers)

    async def read() -> None:
        deltas.put(b'{"n":0}', True)  # at once
        for number in range(1, 7):
            deltas.put(b'{"n":%d}' % number, True)
            if number % 2 and (rest := deltas.rest()) is not None:
                await rest

    await read()
    (log,) = brokers.log.values()
    await until(lambda: len(log) == 4)
    assert log == [b'[{"n":0}]', b'[{"n":1},\n{"n":2},\n{"n":3}]', b'[{"n":4},\n{"n":5}]', b'[{"n":6}]']
    await publisher.stop()


async def test_who_rests_is_woken_though_nothing_is_put_any_more_and_at_the_end() -> None:
    publisher, deltas = publisher_with_beats_of(0.02 + SHORTEST_S, Known())
    deltas.put(CHUNK, True)
    deltas.put(CHUNK, True)
    rest = deltas.rest()
    assert rest is not None
    async with asyncio.timeout(30):
        await rest
    deltas.put(CHUNK, True)
    rest = deltas.rest()
    assert rest is not None
    await publisher.stop()
    async with asyncio.timeout(30):
        await rest
