"""The told place and reason against what the scheduler really does: random waiting requests of many kinds of queues."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.flow import queue_states
from streams.flow.dispatch import Dispatch
from streams.flow.predicted_wait import ClassLoad, seconds_until
from streams.flow.turn_order import TurnOrder
from streams.limits import Route
from streams.pipeline import Busy, Outcome, PendingRequest
from tests.support.requests import pending, rules
from tests.unit.flow.scheduler_rig import asking, scheduler, take
from tests.unit.flow.test_dispatch import Answered, HandledProviders, Slot
from topics.names import PRIORITIES

NOW = 1000.0


class NamedLacks(HandledProviders):
    """Each model lacks what its name says, or has room for three calls; the agent `linked` has one connection."""

    def reserve(self, request: PendingRequest) -> Slot | Outcome | Busy:
        group = request.route.group
        if request.agent_id == "linked" and any(each.agent_id == "linked" for each in self.started):
            return Busy("agent", 30.0, "agent_connections")
        if group == "limited":
            return Busy("route", None, "provider_limit", "tokens")
        if group == "paused":
            return Busy("route", 20.0, "provider_pause", "pause")
        if group == "down":
            return Busy("route", None, "endpoints_down")
        if group == "high-only" and request.priority != "high":
            return Busy("class", None, "endpoint_slots")
        return super().reserve(request)


def true_reasons(request: PendingRequest, providers: NamedLacks, kind: str) -> set[str]:
    """What keeps it from going, by the rules of this world and by who is under way; not by what the scheduler says of itself."""
    found: set[str] = set()
    group, calls = request.route.group, list(providers.under_way)
    own = sum(each.agent_id == request.agent_id for each in calls)
    if kind == "ordered" and own:
        found.add("order")
    if own >= 5:
        found.add("agent_calls")
    if request.agent_id == "linked" and own:
        found.add("agent_connections")
    lacks = {"limited": "provider_limit", "paused": "provider_pause", "down": "endpoints_down"}
    if group in lacks:
        found.add(lacks[group])
    if group == "high-only" and request.priority != "high":
        found.add("endpoint_slots")
    if group == "small" and providers.free["small"] < 1:
        found.add("unknown")
    if len(calls) >= 20:
        found.add("worker_calls")
    elif request.priority != "high" and sum(each.priority != "high" for each in calls) >= 18:
        found.add("kept_for_high")
    if kind == "slow" and len(providers.started) >= 12:
        found.add("admission_rate")
    return found


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind", ["full", "slow", "ordered"])
async def test_the_told_reason_is_the_true_one(seed: int, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000 random waiting requests in all."""
    monkeypatch.setattr(queue_states, "perf_counter", lambda: 0.0)
    rng = random.Random(seed)
    providers, answered = NamedLacks(small=3), Answered()
    order = "agent" if kind == "ordered" else "none"
    held = rules(
        rate_per_s=0.001 if kind == "slow" else 1e9,
        burst=12 if kind == "slow" else 1_000_000,
        most_in_flight=20,
        high_share=0.1,
        ordering=order,
        refuse_early=False,
    )
    agents = held.agents
    held = rules(
        **{name: getattr(held, name) for name in ("rate_per_s", "burst", "most_in_flight", "high_share", "ordering")},
        refuse_early=False,
        agents=type(agents)(
            agents.warning_bytes,
            agents.critical_bytes,
            agents.peak_bytes,
            1.1,
            5,
            agents.most_waiting,
            agents.most_bytes,
        ),
    )
    dispatch = Dispatch(held, providers, answered, lambda: NOW, lambda: 50.0)
    models = ["small", "plenty", "plenty", "limited", "paused", "down", "high-only"]
    names = ["linked", *(f"agent-{number}" for number in range(12))]
    sent = [
        pending(agent=rng.choice(names), priority=rng.choice(PRIORITIES), model=rng.choice(models), dispatch_by=1e9)
        for _ in range(150)
    ]
    if kind == "ordered":  # one at a time: who is first must be able to go, or the chain waits for that
        sent = [pending(agent=each.agent_id, model="plenty", priority="normal", dispatch_by=1e9) for each in sent]
    try:
        dispatch.accept(sent)
        await providers.wait_started(1)
        for _ in range(5):
            await _turn()
        waiting = [each for each in sent if each.dispatched_at is None]
        assert len(waiting) >= 60
        states = dispatch.states.tell(waiting)
        wrong = {
            (each.agent_id, each.priority, each.route.group, state.reason)
            for each, state in zip(waiting, states, strict=True)
            if state.reason not in true_reasons(each, providers, kind)
        }
        assert not wrong
        by_reason = Counter((each.priority, state.reason) for each, state in zip(waiting, states, strict=True))
        told: Counter[tuple[str, str]] = Counter()
        for line in dispatch.stats(10).waiting_for:
            told[line.priority, line.reason] += line.requests
            assert line.oldest_s == NOW - min(each.received_at for each in waiting if each.priority == line.priority)
        assert told == by_reason, "what waits for what, all together, is the sum of what each is told"
    finally:
        await dispatch.stop()


async def _turn() -> None:
    await asyncio.sleep(0)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_the_told_place_is_the_order_in_which_they_go(data: st.DataObject) -> None:
    """Nobody has the place of another (Qiskit/qiskit#503), and they go as they were told (maziggy/bambuddy#2740)."""
    one, _ = scheduler()
    agents = data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=40))
    waiting = [asking("normal", f"agent-{agent}") for agent in agents]
    for request in waiting:
        one.put(request)
    for _ in range(data.draw(st.integers(0, 5))):
        if (gone := take(one)) is not None:
            waiting.remove(gone)
    queue = one.queue_of("normal")
    picture = TurnOrder(queue.lanes.values())
    told = {}
    for request in waiting:
        turn = queue.turn_of(request)
        assert turn is not None
        told[request] = picture.ahead(turn, turn.requests.index(request))
    went = []
    while (gone := take(one)) is not None:
        went.append(gone)
    assert [told[request] for request in went] == list(range(len(went)))


@given(
    st.integers(0, 60),
    st.integers(0, 2),
    st.lists(st.integers(0, 60), min_size=3, max_size=3),
)
@settings(max_examples=100, deadline=None)
def test_a_fluid_drain_is_what_the_scheduler_does(ahead: int, own: int, waiting: list[int]) -> None:
    """One dispatch a second, no arrivals: the told time is the number of dispatches until it goes, to three."""
    one, _ = scheduler(high_share=0.0, per_agent=1_000)
    for at, priority in enumerate(PRIORITIES):
        for _ in range(ahead if at == own else waiting[at]):
            one.put(asking(priority, "a"))
        if at == own:
            mine = asking(priority, "a")
            one.put(mine)
    gone = 0
    while take(one) is not mine:
        gone += 1
    loads = [ClassLoad(weight, waiting[at], 0.0) for at, weight in enumerate((8, 3, 1))]
    told = seconds_until(ahead, own, loads, 1.0)
    assert told is not None
    assert abs(told - (gone + 1)) <= 12


def test_a_queue_that_nothing_leaves_has_no_time() -> None:
    assert seconds_until(3, 0, [ClassLoad(1, 3, 0.0)], 0.0) is None
    assert seconds_until(10, 0, [ClassLoad(1, 3, 0.0)], 0.0001) is None, "more than a day is a guess"


def test_an_empty_queue_is_waited_for_one_dispatch() -> None:
    """With nothing before it a wait of many calls was told (iheartradio/kanaloa#162)."""
    assert seconds_until(0, 0, [ClassLoad(1, 0, 0.0)], 10.0) == pytest.approx(0.1)
    assert Route("p", "r").whole == Route("p", "r")
