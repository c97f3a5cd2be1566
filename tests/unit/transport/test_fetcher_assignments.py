"""What a fetcher keeps over another assignment, and how it ends."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.errors import (
    ConsumerStoppedError,
    GroupAuthorizationFailedError,
)
from aiokafka.structs import OffsetAndMetadata

from tests.unit.transport.fetcher_rig import (
    LIMIT_S,
    MAX_WAIT_MS,
    at,
    fetching,
    loops,
    some,
    until,
)


async def test_of_another_assignment_nothing_that_was_fetched_is_kept() -> None:
    async with fetching({0: 0, 1: 0}, leaders={1: 2}) as rig:
        (await rig.next(1)).answer(some(0))
        under_way = await rig.next(2)
        await rig.ready(0)
        rig.consumer.unsubscribe()
        rig.assign({0: 3, 2: 0})
        asked = await rig.next()
        assert (asked.node_id, asked.wanted, asked.max_wait_ms) == (1, {0: 3, 2: 0}, MAX_WAIT_MS)
        assert under_way.outcome.cancelled()
        assert loops() == 1
        asked.answer(some(2))
        await rig.ready(2)
        assert rig.take(2) == [[0]]
        await rig.next()


async def test_a_partition_that_was_assigned_before_too_begins_anew() -> None:
    async with fetching({0: 0}) as rig:
        (await rig.next()).answer(some(0))
        await rig.ready(0)
        rig.consumer.unsubscribe()
        rig.consumer.assign([at(0)])
        assignment = rig.consumer._subscription.subscription.assignment
        await until(lambda: bool(assignment.requesting_committed()))
        assert not rig.fetch.ready()
        assignment.state_value(at(0)).update_committed(OffsetAndMetadata(17, ""))
        assert (await rig.next()).wanted == {0: 17}


async def test_what_was_left_in_another_assignment_is_to_be_taken_in_this_one() -> None:
    async with fetching({0: 0, 1: 0}) as rig:
        (await rig.next()).answer(some(0))
        await rig.ready(0)
        await rig.leave()
        await rig.next()
        rig.consumer.unsubscribe()
        rig.assign({0: 0, 1: 0})
        (await rig.next()).answer(some(0))
        await rig.ready(0)
        await rig.quiet()


async def test_records_of_an_assignment_that_has_ended_are_none() -> None:
    async with fetching({0: 0}) as rig:
        asked = await rig.next()
        waiting = asyncio.create_task(rig.fetch.wait(60))
        asked.answer(some(0))
        rig.consumer.unsubscribe()
        await asyncio.sleep(0)
        await until(lambda: loops() == 0)
        assert not waiting.done()
        rig.assign({0: 9})
        assert (await rig.next()).wanted == {0: 9}
        rig.fetch.wake()
        await waiting


async def test_after_a_time_without_partitions_fetching_goes_on() -> None:
    async with fetching() as rig:
        await rig.quiet()
        for offset in (3, 4):
            rig.assign({0: offset})
            assert (await rig.next()).wanted == {0: offset}
            rig.consumer.unsubscribe()
            await rig.quiet()
            assert loops() == 0


async def test_an_error_of_the_group_ends_the_waiting_and_fetching_goes_on() -> None:
    async with fetching() as rig:
        await asyncio.sleep(0)
        waiting = asyncio.create_task(rig.fetch.wait(60))
        await asyncio.sleep(0)
        rig.consumer._subscription.abort_waiters(GroupAuthorizationFailedError("g"))
        await waiting
        rig.assign({0: 0})
        assert (await rig.next()).wanted == {0: 0}


@pytest.mark.parametrize("doing", ["fetching", "pausing", "looking", "placing", "without a leader", "unassigned"])
async def test_with_the_consumer_everything_ends(doing: str) -> None:
    """What does not end is found by `fetching`."""
    async with fetching(pause_s=60) as rig:
        if doing == "placing":
            rig.consumer.assign([at(0)])
            assignment = rig.consumer._subscription.subscription.assignment
            await until(lambda: bool(assignment.requesting_committed()))
        elif doing == "without a leader":
            rig.lead({0: -1})
            rig.assign({0: 0})
            await rig.quiet()
        elif doing != "unassigned":
            rig.assign({0: 0})
            asked = await rig.next()
            if doing != "fetching":
                asked.answer(some(0, behind=0 if doing == "pausing" else 200))
                await rig.ready(0)
                await rig.quiet()
        waiting = asyncio.create_task(rig.fetch.wait(60))
        await asyncio.sleep(0)
        async with asyncio.timeout(LIMIT_S):
            await rig.consumer.stop()
            assert loops() == 0
            await waiting
        with pytest.raises(ConsumerStoppedError):
            rig.fetch.ready()
