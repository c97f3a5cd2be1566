"""Arrivals through flow on a virtual clock, and what each of them waited."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ops.simulation.providers import PaperProviders
from ops.simulation.virtual_loop import run_virtually
from schemas.request import Operation, Request
from streams.flow.dispatch import Dispatch
from streams.flow.rules import FlowRules
from streams.pipeline import Outcome, PendingRequest
from topics.names import RESPONSES, Priority


@dataclass(frozen=True, slots=True)
class PaperRequest:
    """One that comes `at_s` seconds after the start, and whose call takes `call_s`."""

    at_s: float
    agent_id: str
    priority: Priority
    call_s: float
    size: int = 500
    payload: dict[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """How one request came out. `waited_s` until its dispatch, or until it was refused or expired."""

    agent_id: str
    priority: Priority
    came_at_s: float
    waited_s: float
    ended_at_s: float
    status: str
    error: str | None


class _NoSource:
    live = True

    def finish(self, start: int, stop: int | None = None) -> None: ...

    def stuck(self, is_stuck: bool) -> None: ...


class Ended:
    """The end of the pipeline on paper: notes what came of every request."""

    def __init__(self, expected: int) -> None:
        self.waits: list[Wait] = []
        self.times_ended: dict[str, int] = {}
        self._expected = expected
        self.all = asyncio.Event()

    def respond(self, request: PendingRequest, outcome: Outcome) -> None:
        now = asyncio.get_running_loop().time()
        dispatched_at = now if request.dispatched_at is None else request.dispatched_at
        self.waits.append(
            Wait(
                request.agent_id,
                request.priority,
                request.received_at,
                max(0.0, dispatched_at - request.received_at),
                now,
                outcome.status,
                outcome.error.type if outcome.error is not None else None,
            )
        )
        self.times_ended[request.request_id] = self.times_ended.get(request.request_id, 0) + 1
        if len(self.waits) >= self._expected:
            self.all.set()

    def abandon(self, request: PendingRequest) -> None:
        raise AssertionError("nothing moves away on paper")


@dataclass(frozen=True, slots=True)
class Sample:
    """What is going on at a moment."""

    at_s: float
    waiting: dict[Priority, int]
    in_flight: int
    dispatchers: int


@dataclass(frozen=True, slots=True)
class PaperRun:
    """Everything that came of it. `samples` are a second apart."""

    waits: Sequence[Wait]
    samples: Sequence[Sample]
    lasted_s: float
    most_at_a_host: int


def simulate(
    arrivals: Iterable[PaperRequest], rules: FlowRules, waits_s: dict[Priority, float], *, host_slots: int | None
) -> PaperRun:
    """Run them all through the dispatch of `rules`; classes wait at most `waits_s`."""
    return run_virtually(play(list(arrivals), rules, waits_s, host_slots=host_slots))


async def play(
    arrivals: Sequence[PaperRequest], rules: FlowRules, waits_s: dict[Priority, float], *, host_slots: int | None
) -> PaperRun:
    """The same on the running event loop, virtual or not."""
    clock = asyncio.get_running_loop().time
    call_s: dict[PendingRequest, float] = {}
    providers = PaperProviders(host_slots, rules.high_share, lambda request: call_s.pop(request, 0.0))
    ended = Ended(len(arrivals))
    began = clock()
    dispatch = Dispatch(rules, providers, ended, clock, clock)
    samples: list[Sample] = []
    sampling = asyncio.create_task(_sample(dispatch, samples))
    due: list[PendingRequest] = []
    for number, arrival in enumerate(arrivals):
        if began + arrival.at_s > clock():
            dispatch.accept(due)
            due = []
            await asyncio.sleep(began + arrival.at_s - clock())
        request = _request(arrival, number, clock(), waits_s[arrival.priority])
        call_s[request] = arrival.call_s
        due.append(request)
    dispatch.accept(due)
    if arrivals:
        await ended.all.wait()
    lasted_s = clock() - began
    sampling.cancel()
    await dispatch.stop()
    return PaperRun(ended.waits, samples, lasted_s, providers.most_under_way)


async def _sample(dispatch: Dispatch, samples: list[Sample]) -> None:
    clock = asyncio.get_running_loop().time
    while True:
        samples.append(Sample(clock(), dispatch.waiting(), dispatch.in_flight, dispatch.dispatchers))
        await asyncio.sleep(1.0)


def _request(arrival: PaperRequest, number: int, now: float, wait_s: float) -> PendingRequest:
    payload = arrival.payload or {"model": "paper", "messages": [{"role": "user", "content": ""}]}
    operation: Operation = "embeddings" if "input" in payload else "chat.completions"
    return PendingRequest(
        request=Request.model_construct(payload=payload, operation=operation),
        request_id=f"paper-{number}",
        agent_id=arrival.agent_id,
        priority=arrival.priority,
        source=_NoSource(),
        index=0,
        event_id=b"",
        received_at=now,
        dispatch_by=now + wait_s,
        expires_at=None,
        reply_topic=RESPONSES,
        size=arrival.size,
    )
