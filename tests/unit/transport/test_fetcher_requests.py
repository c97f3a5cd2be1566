"""What a fetcher asks for, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka.protocol.fetch import FetchRequest

from streams.transport.pacing import EMPTY_FETCH_FLOOR_S
from tests.unit.transport.fetcher_rig import (
    AHEAD_AT,
    HOLD_MS,
    LIMIT_S,
    MAX_WAIT_MS,
    TOPIC,
    Part,
    about,
    at,
    batch,
    fetching,
    some,
    until,
)

# ---- what is asked for


async def test_where_nothing_is_here_all_is_asked_for_and_the_broker_may_hold_it() -> None:
    async with fetching({0: 5, 1: 7, 2: 0}) as rig:
        asked = await rig.next()
        assert (asked.node_id, asked.wanted, asked.max_wait_ms) == (1, {0: 5, 1: 7, 2: 0}, MAX_WAIT_MS)
        await rig.quiet()


async def test_the_limits_of_the_consumer_are_those_of_its_fetches() -> None:
    async with fetching(
        fetch_min_bytes=3, fetch_max_bytes=5000, max_partition_fetch_bytes=700, isolation_level="read_committed"
    ) as rig:
        written: list[Any] = []

        async def send(_: int, request: Any) -> Any:
            written.append(request.prepare({FetchRequest.API_KEY: (4, 4)}))
            return await asyncio.get_running_loop().create_future()

        rig.consumer._client.send = send
        rig.assign({0: 5})
        await until(lambda: bool(written))
        (request,) = written
        assert (request.min_bytes, request.max_bytes, request.isolation_level) == (3, 5000, 1)
        assert request.topics == [(TOPIC, [(0, 5, 700)])]


async def test_while_all_that_is_here_may_be_taken_nothing_else_is_asked_for() -> None:
    async with fetching({0: 0, 1: 0}) as rig:
        (await rig.next()).answer(some(0, count=3))
        await rig.ready(0)
        await rig.quiet()
        assert [record.offset for record in rig.fetch.take(at(0), 2)[0]] == [0, 1]
        await rig.quiet()
        assert rig.take(0) == [[2]]
        asked = await rig.next()
        assert (asked.wanted, asked.max_wait_ms) == ({0: 3, 1: 0}, MAX_WAIT_MS)


async def test_of_what_was_taken_there_is_more_and_it_is_asked_for_while_others_are_still_here() -> None:
    async with fetching({0: 0, 1: 0, 2: 0}) as rig:
        (await rig.next()).answer(some(0, behind=1), some(1))
        await rig.ready(0, 1)
        await rig.quiet()
        rig.take(0)
        asked = await rig.next()
        assert (asked.wanted, asked.max_wait_ms) == ({0: 1, 2: 0}, HOLD_MS)
        asked.answer(some(0, 1))
        await rig.ready(0, 1)
        rig.take(0)
        await rig.quiet()
        rig.take(1)
        assert (await rig.next()).wanted == {0: 2, 1: 1, 2: 0}


async def test_what_no_consumer_may_see_yet_is_not_more() -> None:
    async with fetching({0: 0, 1: 0}, isolation_level="read_committed") as rig:
        (await rig.next()).answer(Part(0, batch(0, 1), end=9, stable=1), some(1))
        await rig.ready(0, 1)
        rig.take(0)
        await rig.quiet()


@pytest.mark.parametrize("version", [1, 3])
async def test_a_broker_that_does_not_say_what_is_decided_is_asked_when_all_is_taken(version: int) -> None:
    async with fetching({0: 0, 1: 0}, version=version) as rig:
        (await rig.next()).answer(some(0, behind=9), some(1))
        await rig.ready(0, 1)
        rig.take(0)
        await rig.quiet()
        rig.take(1)
        assert (await rig.next()).wanted == {0: 1, 1: 1}


async def test_no_more_than_twelve_partitions_wait_when_more_is_fetched() -> None:
    numbers = range(AHEAD_AT + 2)
    async with fetching(dict.fromkeys(numbers, 0)) as rig:
        (await rig.next()).answer(*(some(number, behind=9) for number in numbers))
        await rig.ready(*numbers)
        rig.take(0)
        await rig.quiet()
        rig.take(1)
        asked = await rig.next()
        assert (asked.wanted, asked.max_wait_ms) == ({0: 1, 1: 1}, HOLD_MS)


@pytest.mark.parametrize(("max_wait_ms", "hold_ms"), [(MAX_WAIT_MS, HOLD_MS), (4, 4)])
async def test_what_is_left_on_purpose_holds_the_others_back_for_a_moment_only(max_wait_ms: int, hold_ms: int) -> None:
    async with fetching({0: 0, 1: 0, 2: 0}, fetch_max_wait_ms=max_wait_ms) as rig:
        (await rig.next()).answer(some(0, count=2))
        await rig.ready(0)
        await rig.quiet()
        await rig.leave()
        asked = await rig.next()
        assert (asked.wanted, asked.max_wait_ms) == ({1: 0, 2: 0}, hold_ms)
        asked.answer()
        asked = await rig.next()
        assert (asked.wanted, asked.max_wait_ms) == ({1: 0, 2: 0}, hold_ms)
        assert rig.take(0) == [[0, 1]]
        asked.answer()
        asked = await rig.next()
        assert (asked.wanted, asked.max_wait_ms) == ({0: 2, 1: 0, 2: 0}, max_wait_ms)


async def test_where_all_is_left_on_purpose_nothing_is_asked_for_until_some_is_taken() -> None:
    async with fetching({0: 0, 1: 0}) as rig:
        (await rig.next()).answer(some(0), some(1))
        await rig.ready(0, 1)
        await rig.leave()
        await rig.quiet()
        rig.take(0)
        asked = await rig.next()
        assert (asked.wanted, asked.max_wait_ms) == ({0: 1}, HOLD_MS)


async def test_what_comes_after_something_was_left_is_to_be_taken_first() -> None:
    async with fetching({0: 0, 1: 0, 2: 0}) as rig:
        (await rig.next()).answer(some(0))
        await rig.ready(0)
        await rig.leave()
        (await rig.next()).answer(some(1))
        await rig.ready(0, 1)
        await rig.quiet()
        rig.take(1)
        assert (await rig.next()).wanted == {1: 1, 2: 0}


async def test_what_was_left_once_and_comes_anew_is_to_be_taken_first() -> None:
    async with fetching({0: 0, 1: 0}) as rig:
        (await rig.next()).answer(some(0))
        await rig.ready(0)
        await rig.leave()
        held = await rig.next()
        rig.take(0)
        held.answer()
        (await rig.next()).answer(some(0, 1))
        await rig.ready(0)
        await rig.quiet()


# ---- when


async def test_after_few_records_the_next_fetch_begins_a_pause_after_the_last_one_began() -> None:
    pause_s, held_s = 0.2, 0.15
    async with fetching({0: 0}, pause_s=pause_s) as rig:
        asked = await rig.next()
        await asyncio.sleep(held_s)
        asked.answer(some(0))
        await rig.ready(0)
        rig.take(0)
        assert about(pause_s, (await rig.next()).began - asked.began)


@pytest.mark.parametrize(
    "parts",
    [
        [some(0, count=100)],
        [some(0, count=1, behind=99)],
        [some(0, count=50), some(1, count=1, behind=49)],
    ],
    ids=["brought", "behind", "of two"],
)
async def test_where_a_hundred_records_wait_there_is_no_pause(parts: Sequence[Part]) -> None:
    async with fetching({0: 0, 1: 0}, pause_s=60) as rig:
        (await rig.next()).answer(*parts)
        numbers = [part.number for part in parts]
        await rig.ready(*numbers)
        rig.take(*numbers)
        await rig.next()


async def test_where_less_than_a_hundred_wait_there_is_a_pause() -> None:
    async with fetching({0: 1000, 1: 0}, pause_s=60) as rig:
        (await rig.next()).answer(some(0, 1000, count=50), some(1, count=1, behind=48))
        await rig.ready(0, 1)
        rig.take(0, 1)
        await rig.quiet()


async def test_a_broker_that_does_not_hold_a_fetch_of_nothing_is_not_asked_before_the_floor() -> None:
    async with fetching({0: 0}) as rig:
        asked = await rig.next()
        asked.answer()
        again = await rig.next()
        assert about(EMPTY_FETCH_FLOOR_S, again.began - asked.began)
        await asyncio.sleep(EMPTY_FETCH_FLOOR_S)
        again.answer()
        answered = asyncio.get_running_loop().time()
        assert about(0, (await rig.next()).began - answered), "a fetch that was held is over the floor"


async def test_the_floor_is_not_above_what_a_broker_that_holds_would_take() -> None:
    async with fetching({0: 0}, fetch_max_wait_ms=5) as rig:
        asked = await rig.next()
        asked.answer()
        assert (await rig.next()).began - asked.began < EMPTY_FETCH_FLOOR_S - 0.005


async def test_who_waits_for_records_is_told_before_the_pause() -> None:
    async with fetching({0: 0}, pause_s=60) as rig:
        asked = await rig.next()
        waiting = asyncio.create_task(rig.fetch.wait(60))
        await asyncio.sleep(0)
        asked.answer(some(0))
        async with asyncio.timeout(LIMIT_S):
            await waiting
        assert rig.take(0) == [[0]]


async def test_who_waits_is_not_told_of_nothing() -> None:
    async with fetching({0: 0}) as rig:
        asked = await rig.next()
        waiting = asyncio.create_task(rig.fetch.wait(60))
        asked.answer(Part(0, end=5))
        await rig.next()
        assert not waiting.done()
        rig.fetch.wake()
        await waiting
