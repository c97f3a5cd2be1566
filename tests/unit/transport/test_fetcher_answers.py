"""What a fetcher makes of the answers it gets."""

from __future__ import annotations

import asyncio

import pytest
import structlog
from aiokafka.errors import (
    RecordTooLargeError,
)

from streams.transport.batch_reader import CorruptBatchError
from streams.transport.set_aside import SetAside
from tests.unit.transport.fetcher_rig import (
    LIMIT_S,
    Part,
    at,
    batch,
    fetching,
    some,
)


@pytest.mark.parametrize("version", range(1, 12))
async def test_records_are_read_from_an_answer_of_every_version(version: int) -> None:
    async with fetching({0: 0, 1: 5}, version=version) as rig:
        (await rig.next()).answer(Part(0, batch(0, 2) + batch(2, 1), end=9, stable=7), Part(1, end=5))
        await rig.ready(0)
        assert (rig.consumer.highwater(at(0)), rig.consumer.highwater(at(1))) == (9, 5)
        assert rig.consumer.last_stable_offset(at(0)) == (7 if version >= 4 else None)
        assert rig.take(0) == [[0, 1, 2]]
        assert (await rig.next()).wanted == {0: 3, 1: 5}


@pytest.mark.parametrize("version", range(4, 12))
async def test_what_was_aborted_is_passed_by_in_an_answer_of_every_version(version: int) -> None:
    async with fetching({0: 0}, version=version, isolation_level="read_committed") as rig:
        records = batch(0, 2, producer=7) + batch(2, 1, producer=8) + batch(3, 1)
        (await rig.next()).answer(Part(0, records, end=4, aborted=[(7, 0)]))
        await rig.ready(0)
        assert rig.take(0) == [[2, 3]]
        assert (await rig.next()).wanted == {0: 4}


async def test_a_record_whose_bytes_are_broken_is_no_record() -> None:
    async with fetching({0: 0}) as rig:
        good = batch(0, 1)
        (await rig.next()).answer(Part(0, good[:-1] + bytes([good[-1] ^ 1]), end=1))
        await rig.ready(0)
        for _ in range(2):
            with pytest.raises(CorruptBatchError, match="checksum"):
                rig.take(0)
        await rig.quiet()  # not again and again
        rig.fetch.fetch_again(at(0))
        assert (await rig.next()).wanted == {0: 0}


async def test_a_batch_that_is_corrupt_in_two_fetches_is_set_aside_where_that_is_asked_for() -> None:
    async with fetching({0: 0}) as rig:
        good = batch(0, 2)
        bad = Part(0, good[:-1] + bytes([good[-1] ^ 1]), end=2)
        (await rig.next()).answer(bad)
        await rig.ready(0)
        with pytest.raises(CorruptBatchError):
            rig.take(0)
        rig.fetch.distrust(at(0))
        (await rig.next()).answer(bad)
        await rig.ready(0)
        (found, position) = rig.fetch.take(at(0), 10)
        assert [(type(each), each.offset) for each in found] == [(SetAside, 0), (SetAside, 1)]
        assert position == 2


async def test_a_batch_that_was_corrupted_on_its_way_is_read_when_it_comes_again() -> None:
    async with fetching({0: 0}) as rig:
        good = batch(0, 2)
        (await rig.next()).answer(Part(0, good[:-1] + bytes([good[-1] ^ 1]), end=2))
        await rig.ready(0)
        with pytest.raises(CorruptBatchError):
            rig.take(0)
        rig.fetch.distrust(at(0))
        (await rig.next()).answer(Part(0, good, end=2))
        await rig.ready(0)
        assert rig.take(0) == [[0, 1]]


async def test_of_a_partition_that_was_sought_meanwhile_the_old_records_are_dropped() -> None:
    async with fetching({0: 0, 1: 0}) as rig:
        asked = await rig.next()
        rig.fetch.seek(at(0), 40)
        asked.answer(some(0), some(1))
        await rig.ready(1)
        rig.take(1)
        asked = await rig.next()
        assert asked.wanted == {0: 40, 1: 1}
        asked.answer(some(0, 40))
        await rig.ready(0)
        assert rig.take(0) == [[40]]
        await rig.next()


async def test_of_a_partition_that_is_to_begin_anew_the_old_records_are_dropped() -> None:
    async with fetching({0: 5}) as rig:
        rig.earliest = 2
        asked = await rig.next()
        with structlog.testing.capture_logs() as logs:
            placed = rig.fetch._fetcher.request_offset_reset([at(0)], -2)
            asked.answer(some(0, 5))
            async with asyncio.timeout(LIMIT_S):
                await placed
            assert (await rig.next()).wanted == {0: 2}
        assert not rig.fetch.ready()
        assert not logs


async def test_a_partition_that_is_sought_is_asked_for_at_once_and_what_was_here_is_dropped() -> None:
    async with fetching({0: 0}) as rig:
        (await rig.next()).answer(some(0))
        await rig.ready(0)
        await rig.quiet()
        rig.fetch.seek(at(0), 40)
        assert not rig.fetch.ready()
        assert (await rig.next()).wanted == {0: 40}


async def test_what_was_not_asked_for_is_not_kept() -> None:
    """A session names nothing that was forgotten; a broker that does all the same has sent it too late."""
    async with fetching({0: 0, 1: 0}) as rig:
        (await rig.next()).answer(some(0, count=2))
        await rig.ready(0)
        await rig.leave()
        (await rig.next()).answer(some(0, count=1), some(1), some(9))
        await rig.ready(0, 1)
        assert rig.take(0, 1) == [[0, 1], [0]]
        await rig.next()


async def test_what_is_not_assigned_is_passed_by() -> None:
    async with fetching({0: 0}) as rig:
        with structlog.testing.capture_logs() as logs:
            (await rig.next()).answer(some(0), topic="another")
            (await rig.next()).answer(some(9), some(0))
            await rig.ready(0)
        assert not logs
        assert rig.take(0) == [[0]]
        await rig.next()


async def test_a_record_that_is_larger_than_a_fetch_is_passed_by_loudly() -> None:
    async with fetching({0: 0}, version=2, pause_s=60) as rig:
        waiting = asyncio.create_task(rig.fetch.wait(60))
        (await rig.next()).answer(Part(0, batch(0, 1)[:-1], end=500))
        async with asyncio.timeout(LIMIT_S):
            await waiting
        with pytest.raises(RecordTooLargeError, match="a record at 0"):
            rig.take(0)
        assert rig.fetch._subscriptions._assigned_state(at(0)).position == 1
