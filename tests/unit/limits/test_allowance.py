"""A worker's allowance under any order of calls, against sums that anybody can check."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streams.limits import Route
from streams.limits.amount import NONE, Amount, limit_of
from streams.limits.usage import Used
from streams.limits.worker.allowance import Allowance, Need
from streams.limits.worker.reservation import LeaseReservation

ROUTE = Route("main", "small")
AT = datetime(2026, 1, 1, tzinfo=UTC)


def charged(used: Used) -> Amount:
    return Amount(1, used.input + used.output)


class Calls(RuleBasedStateMachine):
    """Grants, calls and demands in any order. The model: all that was granted, and what calls did with it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000.0
        self.allowance = Allowance(ROUTE, limit_of(100, 10_000), window_s=61.0, lease_s=3.0)
        self.granted = NONE
        self.owed = 0
        self.open: list[LeaseReservation] = []
        self.used: list[int] = []
        self.told: dict[int, int] = {}
        self.offset = 0

    @rule(tokens=st.integers(0, 3_000), requests=st.integers(0, 5), late_s=st.floats(0, 4))
    def grant(self, tokens: int, requests: int, late_s: float) -> None:
        self.offset += 1
        self.allowance.grant(self.offset, Amount(requests, tokens), self.now + 3.0 - late_s, self.now)
        self.granted += Amount(requests, tokens)

    @rule(tokens=st.integers(1, 2_000))
    def reserve(self, tokens: int) -> None:
        if self.allowance.reserve(Amount(1, tokens), self.now):
            self.open.append(
                LeaseReservation(
                    self.allowance, Amount(1, tokens), charged, lambda: self.now, lambda: True, lambda: None
                )
            )

    @precondition(lambda self: self.open)
    @rule(data=st.data(), used=st.integers(0, 3_000))
    def call(self, data: st.DataObject, used: int) -> None:
        reservation = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        if not reservation.is_valid():
            reservation.release()
            return
        reservation.settle(Used(used))
        reservation.settle(Used(used))  # ends once, whoever else says so
        reservation.release()
        self.used.append(used)
        self.owed += max(0, used - int(reservation.reserved.tokens))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def never_sent(self, data: st.DataObject) -> None:
        self.open.pop(data.draw(st.integers(0, len(self.open) - 1))).release()

    @rule(seconds=st.floats(0, 5))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(acked=st.booleans())
    def tell(self, acked: bool) -> None:
        demand = self.allowance.demand("w", Need(), AT, self.now)
        self.allowance.confirmed(acked)
        if acked:
            self.told |= {slot.number: slot.tokens for slot in demand.slots}

    @invariant()
    def what_is_used_held_and_open_was_granted_or_is_owed(self) -> None:
        slots = sum(used.tokens for _, used in self.allowance._slots.values())
        held = self.allowance.left.tokens + self.allowance.open.tokens
        assert slots + held <= self.granted.tokens + self.owed
        assert self.allowance.left.tokens >= 0
        assert self.allowance.left.requests >= 0
        assert self.allowance.open.tokens == sum(reservation.reserved.tokens for reservation in self.open)

    def teardown(self) -> None:
        for reservation in self.open:
            reservation.release()
        demand = self.allowance.demand("w", Need(), AT, self.now)
        self.told |= {slot.number: slot.tokens for slot in demand.slots}
        assert sum(self.told.values()) == sum(self.used)  # in the end every token is told, once


TestCalls = Calls.TestCase
TestCalls.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def granted(tokens: int, **more: Any) -> Allowance:
    allowance = Allowance(ROUTE, limit_of(100, 10_000), window_s=61.0, lease_s=3.0, **more)
    allowance.grant(0, Amount(10, tokens), 1_003.0, 1_000.0)
    return allowance


def reservation_of(allowance: Allowance, tokens: int, at: float = 1_000.0, alive: bool = True) -> LeaseReservation:
    assert allowance.reserve(Amount(1, tokens), at)
    return LeaseReservation(allowance, Amount(1, tokens), charged, lambda: at, lambda: alive, lambda: None)


def test_requests_and_tokens_are_taken_both_or_neither() -> None:
    allowance = granted(1_000)
    assert not allowance.reserve(Amount(1, 1_001), 1_000.0)
    assert allowance.left == Amount(10, 1_000)
    assert allowance.reserve(Amount(1, 1_000), 1_000.0)
    assert allowance.left == Amount(9, 0)


def test_a_refund_is_at_most_the_reservation() -> None:
    allowance = granted(1_000)
    reservation = reservation_of(allowance, 400)
    assert reservation.is_valid()
    reservation.settle(Used(0))
    assert allowance.left == Amount(9, 1_000)


def test_a_hold_whose_grant_lapsed_is_not_good_even_when_another_grant_came() -> None:
    allowance = granted(1_000)
    assert allowance.reserve(Amount(1, 400), 1_000.0)
    reservation = LeaseReservation(allowance, Amount(1, 400), charged, lambda: 1_004.0, lambda: True, lambda: None)
    allowance.grant(1, Amount(10, 1_000), 1_007.0, 1_004.0)
    assert not reservation.is_valid()
    reservation.release()
    assert allowance.left == Amount(10, 1_000)  # what lapsed does not come back


def test_what_a_worker_renounces_is_told_and_begins_no_call() -> None:
    allowance = granted(1_000)
    reservation = reservation_of(allowance, 400)
    allowance.renounce()
    assert not reservation.is_valid()
    reservation.release()
    demand = allowance.demand("w", Need(), AT, 1_000.0)
    assert (demand.left.tokens, demand.open.tokens, demand.seen) == (0, 0, 0)


def test_a_grant_in_force_is_prolonged_with_all_that_is_left() -> None:
    allowance = granted(1_000)
    reservation = reservation_of(allowance, 400)
    allowance.grant(1, NONE, 1_005.0, 1_002.0)
    assert allowance.reserve(Amount(1, 600), 1_004.5)
    assert reservation.is_valid()


def test_a_worker_that_its_group_has_not_heard_begins_no_call() -> None:
    reservation = reservation_of(granted(1_000), 400, alive=False)
    assert not reservation.is_valid()


def test_a_call_of_unknown_use_counts_as_reserved() -> None:
    allowance = granted(1_000)
    reservation = reservation_of(allowance, 400)
    assert reservation.is_valid()
    reservation.settle(None)
    (slot,) = allowance.demand("w", Need(), AT, 1_000.0).slots
    assert (slot.requests, slot.tokens) == (1, 400)


def test_a_resource_without_a_limit_is_not_counted() -> None:
    allowance = Allowance(ROUTE, limit_of(tokens=10_000), window_s=61.0, lease_s=3.0)
    allowance.grant(0, Amount(0, 1_000), 1_003.0, 1_000.0)
    assert allowance.reserve(Amount(1, 500), 1_000.0)
    assert allowance.reserve(Amount(1, 500), 1_000.0)


def test_a_pause_that_the_provider_asks_for_holds_at_once() -> None:
    allowance = granted(1_000)
    allowance.pause(1.5, 1_000.0)
    assert not allowance.reserve(Amount(1, 1), 1_001.0)
    assert allowance.reserve(Amount(1, 1), 1_001.6)


def test_a_call_counts_from_its_end_where_the_provider_counts_at_the_end() -> None:
    allowance = granted(1_000, counts_at_end=True)
    reservation = reservation_of(allowance, 400)
    assert reservation.is_valid()
    demand = allowance.demand("w", Need(), AT, 1_000.0)
    assert (demand.slots, demand.open.tokens) == ([], 400)
    allowance.confirmed(acked=True)
    reservation.settle(Used(300))
    demand = allowance.demand("w", Need(), AT, 1_000.0)
    assert ([slot.tokens for slot in demand.slots], demand.open.tokens) == ([300], 0)
