"""Dispatch on a real event loop, between small stages that do what the test says."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from streams.flow.dispatch import Dispatch
from streams.flow.rules import FlowRules
from streams.limits import Route
from streams.pipeline import Busy, Outcome, PendingRequest, error_outcome
from tests.support.requests import SampleSource, pending, until
from tests.support.requests import rules as default_rules
from topics.names import PRIORITIES

NOW = 1000.0
OK = Outcome("ok", payload=b"{}", attempts=1)


class HandledProviders:
    """Calls that end when the test says so. `room` bounds the calls to each model; a model that is not in it has plenty."""

    def __init__(self, **room: int) -> None:
        self.free = room
        self.started: list[PendingRequest] = []
        self.under_way: dict[PendingRequest, asyncio.Future[Outcome]] = {}
        self.most_under_way = 0
        self.released = 0
        self.cancelled = 0

    def why_not(self, request: PendingRequest) -> str:
        return ""

    def on_room(self, tell: Callable[[Route], None]) -> None:
        self.tell = tell

    def route(self, request: PendingRequest) -> Route | Outcome:
        model: str = request.request.payload["model"]
        return error_outcome("invalid_request", "no provider serves it") if model == "nobody" else Route("p", model)

    def reserve(self, request: PendingRequest) -> Slot | Outcome | Busy:
        model = request.route.group
        if self.free.get(model, 1) < 1:
            return Busy("route")
        self.free[model] = self.free.get(model, 1_000_000) - 1
        return Slot(self, model)

    def end(self, request: PendingRequest, outcome: Outcome = OK) -> None:
        self.under_way[request].set_result(outcome)

    async def wait_started(self, count: int, timeout_s: float = 60.0) -> None:
        await until(lambda: len(self.started) >= count, timeout_s)


class Slot:
    def __init__(self, providers: HandledProviders, model: str) -> None:
        self._providers, self._model = providers, model

    async def call(self, request: PendingRequest) -> Outcome:
        providers = self._providers
        end: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        providers.started.append(request)
        providers.under_way[request] = end
        providers.most_under_way = max(providers.most_under_way, len(providers.under_way))
        try:
            return await end
        except asyncio.CancelledError:
            providers.cancelled += 1
            raise
        finally:
            del providers.under_way[request]

    def attending(self) -> None: ...

    def cut_off(self, outcome: Outcome) -> Outcome:
        return replace(outcome, provider="sim", attempts=1)

    def release(self) -> None:
        self._providers.free[self._model] += 1
        self._providers.released += 1
        self._providers.tell(Route("p", self._model))


class Answered:
    def __init__(self) -> None:
        self.outcomes: list[tuple[PendingRequest, Outcome]] = []
        self.abandoned: list[PendingRequest] = []

    def respond(self, request: PendingRequest, outcome: Outcome) -> None:
        self.outcomes.append((request, outcome))

    def abandon(self, request: PendingRequest) -> None:
        self.abandoned.append(request)

    async def wait(self, count: int) -> None:
        await until(lambda: len(self.outcomes) >= count)

    def statuses(self) -> list[str]:
        return [outcome.status for _, outcome in self.outcomes]


@asynccontextmanager
async def dispatching(
    providers: HandledProviders,
    answered: Answered,
    most_in_flight: int = 100,
    now: Callable[[], float] = lambda: NOW,
    rules: FlowRules | None = None,
) -> AsyncIterator[Dispatch]:
    held_to = rules or default_rules(most_in_flight=most_in_flight)
    dispatch = Dispatch(held_to, providers, answered, now, time.monotonic)
    try:
        yield dispatch
    finally:
        await dispatch.stop()


async def test_a_request_is_called_answered_and_its_slot_given_back() -> None:
    providers, answered = HandledProviders(), Answered()
    async with dispatching(providers, answered) as dispatch:
        dispatch.accept([request := pending()])
        await providers.wait_started(1)
        assert (dispatch.in_flight, request.dispatched_at) == (1, NOW)
        providers.end(request)
        await answered.wait(1)
        assert answered.outcomes == [(request, OK)]
        assert (providers.released, dispatch.in_flight) == (1, 0)


async def test_every_class_gets_its_share_and_inside_a_class_it_is_first_come_first_served() -> None:
    providers, answered = HandledProviders(), Answered()
    async with dispatching(providers, answered, most_in_flight=1) as dispatch:
        low, normal, high = ([pending(priority=p, agent="a") for _ in range(8)] for p in ("low", "normal", "high"))
        dispatch.accept([running := pending(priority="low")])
        dispatch.accept([*low, *normal, *high])
        assert dispatch.waiting() == {"high": 8, "normal": 8, "low": 8}
        for count in range(1, 26):
            await providers.wait_started(count)
            providers.end(providers.started[-1])
        await answered.wait(25)
    assert providers.started[0] is running
    assert [[r for r in providers.started[1:] if r.priority == p] for p in PRIORITIES] == [high, normal, low]
    assert Counter(request.priority for request in providers.started[:12]) == {"high": 8, "normal": 3, "low": 1}


async def test_at_the_cap_it_waits_and_goes_on_as_calls_end() -> None:
    providers, answered = HandledProviders(), Answered()
    requests = [pending() for _ in range(50)]
    async with dispatching(providers, answered, most_in_flight=7) as dispatch:
        dispatch.accept(requests)
        while len(answered.outcomes) < 50:
            await providers.wait_started(min(50, len(answered.outcomes) + 7))
            assert dispatch.in_flight <= 7
            providers.end(next(iter(providers.under_way)))
            await answered.wait(len(answered.outcomes) + 1)
    assert providers.most_under_way == 7
    assert providers.released == 50


async def test_what_waits_too_long_is_answered_expired_once_and_never_called() -> None:
    clock = [NOW]
    providers, answered = HandledProviders(small=0), Answered()
    async with dispatching(providers, answered, now=lambda: clock[0]) as dispatch:
        dispatch.accept([short := pending(dispatch_by=NOW + 5), pending(dispatch_by=NOW + 500)])
        clock[0] = NOW + 5.1
        await answered.wait(1)
        await asyncio.sleep(0.25)  # two more sweeps
        ((request, outcome),) = answered.outcomes
        assert (request, outcome.status, dispatch.waiting()["normal"]) == (short, "expired", 1)
    assert providers.started == []


async def test_what_is_late_when_its_turn_comes_is_answered_expired() -> None:
    providers, answered = HandledProviders(), Answered()
    async with dispatching(providers, answered) as dispatch:
        dispatch.accept([pending(dispatch_by=NOW)])
        assert answered.statuses() == ["expired"]
    assert providers.started == []


async def test_records_that_moved_away_are_dropped_without_an_answer() -> None:
    providers, answered = HandledProviders(small=0), Answered()
    async with dispatching(providers, answered) as dispatch:
        moving = SampleSource()
        moved = [pending(source=moving), pending(source=moving, priority="high")]
        dispatch.accept([*moved, stays := pending()])
        moving.live = False
        providers.free["small"] = 10
        providers.tell(Route("p", "small"))
        await providers.wait_started(1)
        providers.end(stays)
        await answered.wait(1)
        assert providers.started == [stays]
        assert sum(dispatch.waiting().values()) == 0
    assert sorted(map(id, answered.abandoned)) == sorted(map(id, moved))
    assert [request for request, _ in answered.outcomes] == [stays]


async def test_what_no_provider_serves_is_refused_at_once() -> None:
    providers, answered = HandledProviders(), Answered()
    async with dispatching(providers, answered) as dispatch:
        dispatch.accept([pending(model="nobody"), fine := pending()])
        await providers.wait_started(1)
        assert answered.statuses() == ["error"]
        providers.end(fine)
        await answered.wait(2)


async def test_a_full_provider_holds_up_no_other_class() -> None:
    providers, answered = HandledProviders(full=0), Answered()
    async with dispatching(providers, answered) as dispatch:
        dispatch.accept([pending(priority="high", model="full"), other := pending(priority="low")])
        await providers.wait_started(1)
        assert providers.started == [other]
        assert dispatch.waiting() == {"high": 1, "normal": 0, "low": 0}
        providers.end(other)


async def test_a_full_provider_holds_up_only_what_needs_it() -> None:
    providers, answered = HandledProviders(full=0), Answered()
    async with dispatching(providers, answered) as dispatch:
        dispatch.accept([waits := pending(model="full"), other := pending()])
        await providers.wait_started(1, timeout_s=0.5)
        assert providers.started == [other]
        providers.free["full"] = 1
        providers.tell(Route("p", "full"))
        providers.end(other)
        await providers.wait_started(2)
        assert providers.started == [other, waits]
        providers.end(waits)


async def test_stopping_cancels_calls_answers_nothing_and_starts_nothing() -> None:
    providers, answered = HandledProviders(), Answered()
    async with dispatching(providers, answered, most_in_flight=3) as dispatch:
        dispatch.accept([pending() for _ in range(10)])
        await providers.wait_started(3)
        providers.end(providers.started[0])  # ends while we stop: what waits must not take its place
        await asyncio.sleep(0)
        await dispatch.stop()
        dispatch.accept([pending()])
        await asyncio.sleep(0)
        assert dispatch.in_flight == 0
    assert (len(providers.started), providers.cancelled, providers.released) == (3, 2, 3)
    assert len(answered.outcomes) <= 1


async def test_a_call_that_breaks_by_our_own_fault_is_answered_and_gives_its_slot_back() -> None:
    providers, answered = HandledProviders(small=1), Answered()
    async with dispatching(providers, answered) as dispatch:
        dispatch.accept([first := pending(), second := pending()])
        await providers.wait_started(1)
        providers.under_way[first].set_exception(ZeroDivisionError("a bug"))
        await providers.wait_started(2)
        providers.end(second)
        await answered.wait(2)
    (_, broken), (_, fine) = answered.outcomes
    assert fine == OK
    assert broken.error is not None
    assert (broken.error.type, broken.error.message) == ("internal", "a fault of the pipeline's own, see its log")
    assert providers.released == 2


@pytest.mark.parametrize("most_in_flight", [1, 4])
async def test_a_burst_of_every_kind_ends_with_one_answer_each(most_in_flight: int) -> None:
    providers, answered = HandledProviders(scarce=1), Answered()
    requests = [
        pending(priority=PRIORITIES[n % 3], model=("small", "scarce", "nobody")[n % 5 % 3], dispatch_by=NOW + n % 4)
        for n in range(120)
    ]
    async with dispatching(providers, answered, most_in_flight=most_in_flight) as dispatch:
        dispatch.accept(requests)
        async with asyncio.timeout(60):
            while len(answered.outcomes) < len(requests):
                for request in list(providers.under_way):
                    if not providers.under_way[request].done():
                        providers.end(request)
                await asyncio.sleep(0)
    assert sorted(id(request) for request, _ in answered.outcomes) == sorted(map(id, requests))
    assert providers.most_under_way <= most_in_flight
