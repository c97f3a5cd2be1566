"""Whom a fetcher asks: every broker for what it leads."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import structlog
from aiokafka.errors import (
    NotLeaderForPartitionError,
)
from aiokafka.protocol.offset import OffsetRequest

from tests.unit.transport.fetcher_rig import (
    BACKOFF_S,
    MAX_WAIT_MS,
    NOT_LEADER,
    OUT_OF_RANGE,
    QUIET_S,
    about,
    fetching,
    loops,
    refused,
    some,
    until,
)


async def test_each_broker_is_asked_for_what_it_leads_and_waits_for_no_other() -> None:
    async with fetching({0: 0, 1: 0, 2: 0}, leaders={1: 2}) as rig:
        first, second = await rig.next(1), await rig.next(2)
        assert (first.wanted, second.wanted) == ({0: 0, 2: 0}, {1: 0})
        first.answer(some(0))
        await rig.ready(0)
        second.answer(some(1))
        await rig.ready(0, 1)
        rig.take(1)
        asked = await rig.next()
        assert (asked.node_id, asked.wanted, asked.max_wait_ms) == (2, {1: 1}, MAX_WAIT_MS)


async def test_where_a_leader_moves_the_new_one_is_asked_and_the_old_one_no_more() -> None:
    async with fetching({0: 0}) as rig:
        old = await rig.next()
        rig.lead({0: 2})
        new = await rig.next()
        assert (new.node_id, new.wanted) == (2, {0: 0})
        old.answer(refused(0, NOT_LEADER))
        await until(lambda: loops() == 1)
        new.answer(some(0))
        await rig.ready(0)
        rig.take(0)
        again = await rig.next()
        assert (again.node_id, again.wanted) == (2, {0: 1})
        await rig.quiet(BACKOFF_S + QUIET_S)
        assert loops() == 1


async def test_a_broker_that_leads_again_is_asked_again() -> None:
    async with fetching({0: 0, 1: 0}) as rig:
        (await rig.next()).answer(some(0), some(1))
        await rig.ready(0, 1)
        for leaders, lead in (({0: 2, 1: 1}, 2), ({0: 2, 1: 2}, 1), ({0: 1, 1: 2}, 2)):
            rig.lead(leaders)
            await rig.quiet()
            assert loops() == lead
        rig.take(0)
        asked = await rig.next()
        assert (asked.node_id, asked.wanted) == (1, {0: 1})
        rig.take(1)
        asked = await rig.next()
        assert (asked.node_id, asked.wanted) == (2, {1: 1})


async def test_a_loop_with_nothing_to_ask_ends_when_its_broker_leads_nothing_more() -> None:
    async with fetching({0: 0}) as rig:
        (await rig.next()).answer(some(0))
        await rig.ready(0)
        await rig.quiet()
        rig.lead({0: 2})
        await rig.quiet()
        assert loops() == 1
        rig.take(0)
        asked = await rig.next()
        assert (asked.node_id, asked.wanted) == (2, {0: 1})


async def test_metadata_that_moves_nothing_asks_for_nothing() -> None:
    async with fetching({0: 0}) as rig:
        (await rig.next()).answer(some(0))
        await rig.ready(0)
        for _ in range(3):
            rig.lead({0: 1})
            await rig.quiet()
        assert loops() == 1


@pytest.mark.parametrize("leader", [-1, None])
async def test_a_partition_without_a_leader_is_asked_for_when_it_has_one(leader: int | None) -> None:
    async with fetching({}) as rig:
        rig.lead({0: 1} if leader is None else {0: 1, 1: leader})
        rig.assign({0: 0, 1: 0})
        rig.refreshed = 0
        held = await rig.next()
        assert held.wanted == {0: 0}
        await until(lambda: rig.refreshed == 3)  # whether a refresh has failed is told to nobody
        assert about(2 * BACKOFF_S, asyncio.get_running_loop().time() - held.began)
        rig.lead({0: 1, 1: 2})
        asked = await rig.next()
        assert (asked.node_id, asked.wanted) == (2, {1: 0})
        assert rig.refreshed == 3


async def test_a_broker_that_cannot_say_where_to_begin_may_lead_no_more_and_is_looked_up() -> None:
    async with fetching({0: 0, 1: 0}) as rig:
        send = rig.send

        async def refuse_offsets(node_id: int, request: Any) -> Any:
            if isinstance(request, OffsetRequest):
                raise NotLeaderForPartitionError
            return await send(node_id, request)

        rig.consumer._client.send = refuse_offsets
        (await rig.next()).answer(refused(0, OUT_OF_RANGE))
        await until(lambda: rig.refreshed >= 2)


async def test_a_fetch_that_is_cancelled_by_another_hand_is_made_again() -> None:
    async with fetching({0: 0}) as rig:
        asked = await rig.next()
        asked.outcome.cancel()
        assert (await rig.next()).wanted == {0: 0}


async def test_faults_of_two_brokers_are_both_told() -> None:
    async with fetching({0: 0, 1: 0}, leaders={1: 2}) as rig:
        asked = {each.node_id: each for each in (await rig.next(1), await rig.next(2))}
        with structlog.testing.capture_logs() as logs:
            for node_id in reversed(list(rig.fetch._fetcher._looks)):
                asked[node_id].fail(ValueError(f"at {node_id}"))
                await asyncio.sleep(0.01)
            await rig.next(1)
            await rig.next(2)
        assert sorted(line["broker"] for line in logs) == [1, 2]
