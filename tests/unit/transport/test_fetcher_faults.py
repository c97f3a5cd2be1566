"""What a fetcher does where a fetch fails, and where it begins to read."""

from __future__ import annotations

import asyncio

import pytest
import structlog
from aiokafka.errors import (
    KafkaConnectionError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
)
from aiokafka.structs import OffsetAndMetadata

from tests.unit.transport.fetcher_rig import (
    BACKOFF_S,
    CORRUPT,
    HOLD_MS,
    LIMIT_S,
    NOT_LEADER,
    OUT_OF_RANGE,
    TOPIC,
    TOPIC_AUTHORIZATION,
    UNKNOWN_TOPIC,
    about,
    at,
    fetching,
    refused,
    some,
    until,
)

# ---- what goes wrong


@pytest.mark.parametrize("error_code", [NOT_LEADER, UNKNOWN_TOPIC])
async def test_a_broker_that_does_not_lead_is_asked_again_after_the_backoff_with_new_metadata(error_code: int) -> None:
    async with fetching({0: 0, 1: 0}) as rig:
        asked = await rig.next()
        asked.answer(refused(0, error_code), some(1))
        await rig.ready(1)
        rig.take(1)
        assert rig.refreshed == 1
        again = await rig.next()
        assert again.wanted == {0: 0, 1: 1}
        assert about(BACKOFF_S, again.began - asked.began)


async def test_any_other_refusal_is_logged_and_tried_again_after_the_backoff() -> None:
    async with fetching({0: 0}) as rig:
        with structlog.testing.capture_logs() as logs:
            asked = await rig.next()
            asked.answer(refused(0, CORRUPT))
            again = await rig.next()
        assert again.wanted == {0: 0}
        assert about(BACKOFF_S, again.began - asked.began)
        assert [(line["partition"], line["error"]) for line in logs] == [("t:0", "CORRUPT_MESSAGE")]
        assert rig.refreshed == 0


async def test_a_fetch_that_was_refused_after_a_while_does_not_wait_for_longer() -> None:
    async with fetching({0: 0}) as rig:
        asked = await rig.next()
        await asyncio.sleep(BACKOFF_S)
        asked.answer(refused(0, CORRUPT))
        assert about(BACKOFF_S, (await rig.next()).began - asked.began)


async def test_a_partition_whose_offset_is_gone_is_read_from_its_beginning() -> None:
    async with fetching({0: 5, 1: 7}) as rig:
        rig.earliest = 30
        (await rig.next()).answer(refused(0, OUT_OF_RANGE))
        asked = await rig.next()
        assert rig.placed == [(1, [0])]
        assert asked.wanted == {0: 30, 1: 7}
        asked.answer(some(0, 30))
        await rig.ready(0)
        assert rig.take(0) == [[30]]
        assert (await rig.next()).wanted == {0: 31, 1: 7}


async def test_where_no_offset_may_be_chosen_that_the_offset_is_gone_is_told() -> None:
    async with fetching({0: 5}, auto_offset_reset="none") as rig:
        for _ in range(2):
            waiting = asyncio.create_task(rig.fetch.wait(60))
            (await rig.next()).answer(refused(0, OUT_OF_RANGE))
            async with asyncio.timeout(LIMIT_S):
                await waiting
            with pytest.raises(OffsetOutOfRangeError):
                rig.take(0)
        assert (await rig.next()).wanted == {0: 5}
        assert not rig.placed


async def test_a_topic_that_may_not_be_read_is_told_to_who_takes_and_asked_for_again() -> None:
    async with fetching({0: 0}, pause_s=0) as rig:
        for _ in range(2):
            waiting = asyncio.create_task(rig.fetch.wait(60))
            asked = await rig.next()
            asked.answer(refused(0, TOPIC_AUTHORIZATION))
            async with asyncio.timeout(LIMIT_S):
                await waiting
            with pytest.raises(TopicAuthorizationFailedError, match=TOPIC):
                rig.take(0)
        again = await rig.next()
        assert again.wanted == {0: 0}
        assert about(BACKOFF_S, again.began - asked.began)


async def test_an_error_that_nobody_has_taken_is_not_asked_for_again() -> None:
    async with fetching({0: 0, 1: 0}) as rig:
        (await rig.next()).answer(refused(0, TOPIC_AUTHORIZATION))
        await rig.ready(0)
        await rig.leave()
        asked = await rig.next()
        assert (asked.wanted, asked.max_wait_ms) == ({1: 0}, HOLD_MS)


async def test_a_broker_that_cannot_be_reached_is_asked_again_after_the_backoff() -> None:
    async with fetching({0: 0}) as rig:
        asked = await rig.next()
        failed = asyncio.get_running_loop().time()
        with structlog.testing.capture_logs() as logs:
            asked.fail(KafkaConnectionError())
            again = await rig.next()
        assert again.wanted == {0: 0}
        assert about(BACKOFF_S, again.began - failed)
        assert [(line["log_level"], line["broker"], line["error"]) for line in logs] == [
            ("warning", 1, "KafkaConnectionError")
        ]


async def test_a_fault_of_ours_is_logged_and_fetching_goes_on() -> None:
    async with fetching({0: 0, 1: 0}, leaders={1: 2}) as rig:
        other = await rig.next(2)
        with structlog.testing.capture_logs() as logs:
            for _ in range(2):
                asked = await rig.next(1)
                failed = asyncio.get_running_loop().time()
                asked.fail(ValueError("a fault"))
                again = await rig.next(1)
                assert about(BACKOFF_S, again.began - failed)
                again.answer(some(0, again.wanted[0]))
                await rig.ready(0)
                rig.take(0)
        assert [(line["log_level"], line["broker"]) for line in logs] == [("error", 1)] * 2
        assert isinstance(logs[0]["exc_info"], ValueError)
        other.answer(some(1))
        await rig.ready(1)
        assert (await rig.next(1)).wanted == {0: 2}


# ---- where to begin


async def test_partitions_without_a_position_are_placed_before_any_is_asked_for() -> None:
    async with fetching() as rig:
        rig.earliest = 30
        rig.consumer.assign([at(0), at(1)])
        rig.consumer.seek(at(1), 7)
        assignment = rig.consumer._subscription.subscription.assignment
        await until(lambda: bool(assignment.requesting_committed()))
        await rig.quiet()
        assignment.state_value(at(0)).update_committed(OffsetAndMetadata(-1, ""))
        assert (await rig.next()).wanted == {0: 30, 1: 7}
        assert rig.placed == [(1, [0])]


async def test_a_partition_begins_where_its_group_has_committed() -> None:
    async with fetching() as rig:
        rig.consumer.assign([at(0)])
        assignment = rig.consumer._subscription.subscription.assignment
        await until(lambda: bool(assignment.requesting_committed()))
        assignment.state_value(at(0)).update_committed(OffsetAndMetadata(17, ""))
        assert (await rig.next()).wanted == {0: 17}
        assert not rig.placed


async def test_where_no_offset_may_be_chosen_that_there_is_none_is_told() -> None:
    async with fetching(auto_offset_reset="none") as rig:
        rig.consumer.assign([at(0)])
        waiting = asyncio.create_task(rig.fetch.wait(60))
        assignment = rig.consumer._subscription.subscription.assignment
        await until(lambda: bool(assignment.requesting_committed()))
        assignment.state_value(at(0)).update_committed(OffsetAndMetadata(-1, ""))
        async with asyncio.timeout(LIMIT_S):
            await waiting
        with pytest.raises(NoOffsetForPartitionError):
            rig.take(0)
