"""Who is told no, and that everybody is told something."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from streams.flow.scheduler import ClassRules
from streams.limits import Route
from tests.support.requests import SampleSource, pending, rules
from tests.unit.flow.test_dispatch import Answered, HandledProviders, dispatching
from topics.names import PRIORITIES


def errors(answered: Answered) -> list[str]:
    return [outcome.error.type for _, outcome in answered.outcomes if outcome.error is not None]


async def test_what_is_over_the_depth_of_its_class_is_refused_and_may_come_again() -> None:
    few = {priority: ClassRules(1, 3, 10_000) for priority in PRIORITIES}
    providers, answered = HandledProviders(small=0), Answered()
    async with dispatching(providers, answered, rules=rules(classes=few)) as dispatch:
        dispatch.accept([pending(priority="low") for _ in range(5)])
        dispatch.accept([pending(priority="high")])
        assert dispatch.waiting() == {"high": 1, "normal": 0, "low": 3}
    assert errors(answered) == ["queue_full", "queue_full"]
    assert all(outcome.error is not None and outcome.error.retryable for _, outcome in answered.outcomes)


@pytest.mark.parametrize("change", [{"most_waiting": 2}, {"most_bytes": 1100}, {"peak_bytes": 1100}])
async def test_one_agent_fills_its_share_and_not_more(change: dict[str, int]) -> None:
    providers, answered = HandledProviders(small=0), Answered()
    bounded = rules(agents=replace(rules().agents, **change))
    async with dispatching(providers, answered, rules=bounded) as dispatch:
        dispatch.accept([pending(agent="noisy") for _ in range(4)])
        dispatch.accept([pending(agent="quiet")])
        assert dispatch.waiting()["normal"] == 3
    assert errors(answered) == ["queue_full", "queue_full"]


async def test_what_waits_of_records_that_moved_away_is_dropped_when_partitions_are_assigned() -> None:
    providers, answered = HandledProviders(small=0), Answered()
    async with dispatching(providers, answered) as dispatch:
        moving = SampleSource()
        dispatch.accept([pending(source=moving) for _ in range(5)])
        dispatch.accept([stays := pending()])
        moving.live = False
        dispatch.drop_moved()
        assert dispatch.waiting()["normal"] == 1
        assert len(answered.abandoned) == 5
        providers.free["small"] = 1
        providers.tell(Route("p", "small"))
        await providers.wait_started(1)
        assert providers.started == [stays]


async def test_in_order_of_a_conversation_the_next_goes_when_the_first_is_answered() -> None:
    providers, answered = HandledProviders(), Answered()
    async with dispatching(providers, answered, rules=rules(ordering="conversation")) as dispatch:
        chain = [pending(agent="a") for _ in range(3)]
        dispatch.accept(chain)
        for count, request in enumerate(chain, start=1):
            await providers.wait_started(count)
            await asyncio.sleep(0)
            assert providers.started == chain[:count]
            providers.end(request)
        await answered.wait(3)
    assert [request for request, _ in answered.outcomes] == chain
