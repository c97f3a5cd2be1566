"""What is in force after any sequence of actions, and what a worker makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.admin import AdminAction, AdminOutcome, Drain, Forget, Pause, Resume, Undrain
from streams.actions.carrier import Carrier
from streams.actions.orders import MOST_ENDPOINTS, FleetOrders
from streams.actions.wire import Noted
from topics.names import PRIORITIES, Priority

WHO: dict[str, Any] = {"action_id": "a-1", "requested_by": "ann"}
URLS = ("http://one/v1", "http://two/v1", "http://nowhere/v1")

ACTIONS: st.SearchStrategy[AdminAction] = st.one_of(
    st.builds(lambda priority: Pause(**WHO, priority=priority), st.sampled_from(PRIORITIES)),
    st.builds(lambda priority: Resume(**WHO, priority=priority), st.sampled_from((*PRIORITIES, None))),
    st.builds(lambda url: Drain(**WHO, endpoint=url), st.sampled_from(URLS)),
    st.builds(lambda url: Undrain(**WHO, endpoint=url), st.sampled_from(URLS)),
)


class Fleet:
    """A worker as it should be: every action does at once what it says."""

    def __init__(self) -> None:
        self.paused: set[Priority] = set()
        self.drained: set[str] = set()

    def pause(self, priority: Priority, paused: bool) -> int:
        (self.paused.add if paused else self.paused.discard)(priority)
        return 3

    def drain(self, endpoint: str, draining: bool) -> int:
        if endpoint == URLS[2]:
            raise ValueError(f"there is no endpoint {endpoint}")
        (self.drained.add if draining else self.drained.discard)(endpoint)
        return 2

    def forget(self, owner: str, until: Mapping[int, int], tell: Callable[[int], None]) -> None:
        tell(len(owner) + until[3])


def carried_out(fleet: Fleet, action: AdminAction) -> None:
    match action:
        case Pause():
            fleet.paused.add(action.priority)
        case Resume():
            fleet.paused -= set(PRIORITIES if action.priority is None else (action.priority,))
        case Drain():
            fleet.drained.add(action.endpoint)
        case Undrain():
            fleet.drained.discard(action.endpoint)


@given(before=st.lists(ACTIONS, max_size=12), after=st.lists(ACTIONS, max_size=12), again=st.booleans())
def test_a_worker_is_as_the_topic_says_whenever_it_has_started(
    before: list[AdminAction], after: list[AdminAction], again: bool
) -> None:
    model, worker, told = Fleet(), Fleet(), list[AdminOutcome]()
    carrier = Carrier(worker, told.append)
    for number, action in enumerate(before):
        carrier.take(Noted(action, 1.0, number))
        carried_out(model, action)
    assert (worker.paused, worker.drained, told) == (set(), set(), [])
    carrier.begin()
    for action in after:
        carrier.take(Noted(action, 2.0, 50))
        carried_out(model, action)
    model.drained.discard(URLS[2])
    assert (worker.paused, worker.drained) == (model.paused, model.drained)
    assert [each.action for each in told] == [each.action for each in after], "what it does, it says"
    if again:
        carrier.anew()
        assert (worker.paused, worker.drained) == (set(), set())


def test_an_endpoint_that_is_not_there_is_told_as_failed() -> None:
    told: list[AdminOutcome] = []
    carrier = Carrier(Fleet(), told.append)
    carrier.begin()
    carrier.take(Noted(Drain(**WHO, endpoint=URLS[2]), 1.0, 0))
    assert [(each.state, each.words) for each in told] == [("failed", f"there is no endpoint {URLS[2]}")]


def test_what_is_drained_by_two_names_stays_drained_until_both_are_taken_back() -> None:
    class Named(Fleet):
        def drain(self, endpoint: str, draining: bool) -> int:
            return super().drain(endpoint.removeprefix("main/"), draining)

    worker = Named()
    carrier = Carrier(worker, lambda _: None)
    carrier.begin()
    for action in (Drain(**WHO, endpoint="main/http://one/v1"), Drain(**WHO, endpoint="http://one/v1/")):
        carrier.take(Noted(action, 1.0, 0))
    carrier.take(Noted(Undrain(**WHO, endpoint="http://one/v1"), 1.0, 0))
    assert worker.drained == {"http://one/v1"}
    carrier.take(Noted(Undrain(**WHO, endpoint="main/http://one/v1"), 1.0, 0))
    assert worker.drained == set()


def test_what_is_in_force_is_written_again_before_the_topic_forgets_it_and_what_was_taken_back_is_not() -> None:
    day, orders = 86_400.0, FleetOrders()
    orders.note(Pause(**WHO, priority="low"), 0.0)
    orders.note(Drain(**WHO, endpoint=URLS[0]), 5 * day)
    orders.note(Drain(**WHO, endpoint=URLS[1]), 0.0)
    orders.note(Undrain(**WHO, endpoint=URLS[1]), 1 * day)
    assert orders.fading(19 * day) == []
    (order,) = orders.fading(21 * day)
    assert order.action == Pause(**WHO, priority="low")
    orders.note(order.action, 21 * day)  # as it is read back
    assert [each.action for each in orders.fading(26 * day)] == [Drain(**WHO, endpoint=URLS[0])]


def test_a_stranger_who_drains_without_end_takes_no_memory_without_end() -> None:
    orders = FleetOrders()
    taken = [orders.note(Drain(**WHO, endpoint=f"http://{number}"), 1.0) for number in range(MOST_ENDPOINTS + 5)]
    assert (sum(taken), len(orders.drained)) == (MOST_ENDPOINTS, MOST_ENDPOINTS)


def test_what_is_to_be_forgotten_is_told_of_once_it_is_gone_and_not_of_before_the_start() -> None:
    """major7apps/pensyve#283 in kind: an erasure that left the cache alone, and no record of itself."""
    said: list[AdminOutcome] = []
    carrier = Carrier(Fleet(), said.append)
    forget = Forget(**WHO, owner="0123456789abcdef", before=datetime.now(UTC), entries_until={"3": 9})
    carrier.take(Noted(forget, 1.0, 0))
    carrier.begin()
    assert said == []
    carrier.take(Noted(forget, 1.0, 1))
    ((action, state, touched),) = ((each.action, each.state, each.touched) for each in said)
    assert (action, state, touched) == ("forget", "done", 25)
