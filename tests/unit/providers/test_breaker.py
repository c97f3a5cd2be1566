"""The breaker, alone and against an obvious model."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.providers.breaker import Breaker, BreakerPolicy
from streams.providers.health import Health

POLICY = BreakerPolicy(calls=20, window_s=30, min_volume=10, error_share=0.5, open_for_s=10, probes=3)


def call(breaker: Breaker, failed: bool, now: float) -> bool:
    assert breaker.allows()
    return breaker.record(breaker.begin(), failed, now)


def opened(at: float = 0.0) -> Breaker:
    breaker = Breaker(POLICY)
    for _ in range(10):
        call(breaker, True, at)
    assert breaker.state == "open"
    return breaker


@given(st.lists(st.tuples(st.floats(0, 8), st.booleans()), max_size=60))
def test_it_opens_when_the_recent_of_the_last_calls_failed_too_often_and_never_else(
    calls: list[tuple[float, bool]],
) -> None:
    breaker, now, seen = Breaker(POLICY), 0.0, []
    for pause_s, failed in calls:
        now += pause_s
        seen.append((now, failed))
        changed = call(breaker, failed, now)
        recent = [bad for at, bad in seen[-20:] if at > now - 30]
        should_open = failed and len(recent) >= 10 and sum(recent) >= 0.5 * len(recent)
        assert changed == should_open == (breaker.state == "open")
        if should_open:
            return


def test_a_fault_after_many_good_calls_is_noticed_after_as_many_failures_at_any_rate() -> None:
    breaker = Breaker(POLICY)
    for number in range(10_000):
        call(breaker, False, number * 0.001)
    for number in range(9):
        assert not call(breaker, True, 10 + number * 0.001)
    assert call(breaker, True, 10.01)


def test_an_open_one_lets_nothing_through_until_a_check_has_succeeded() -> None:
    breaker = opened(at=5.0)
    assert not breaker.allows()
    assert breaker.check_due_s(7.0) == 8.0
    assert not breaker.checked(False, 15.0)
    assert (breaker.allows(), breaker.check_due_s(15.0)) == (False, 10.0)
    assert breaker.checked(True, 25.0)
    assert (breaker.state, breaker.allows(), breaker.check_due_s(25.0)) == ("half_open", True, None)


def test_half_open_tries_a_few_calls_at_once_and_closes_after_as_many_good_ones() -> None:
    breaker = opened()
    breaker.checked(True, 10.0)
    probes = [breaker.begin() for _ in range(3)]
    assert not breaker.allows()
    assert [breaker.record(probe, False, 11.0) for probe in probes] == [False, False, True]
    assert breaker.state == "closed"


def test_one_failed_probe_opens_it_again_and_the_others_say_nothing_any_more() -> None:
    breaker = opened()
    breaker.checked(True, 10.0)
    first, second = breaker.begin(), breaker.begin()
    assert breaker.record(first, True, 11.0)
    assert not breaker.record(second, False, 11.5)
    assert (breaker.state, breaker.check_due_s(11.0)) == ("open", 10.0)


def test_a_forgotten_probe_makes_room_for_another_one() -> None:
    breaker = opened()
    breaker.checked(True, 10.0)
    probes = [breaker.begin() for _ in range(3)]
    breaker.forget(probes[0])
    assert breaker.allows()


def test_calls_from_before_it_opened_do_not_count_afterwards() -> None:
    breaker = Breaker(POLICY)
    late = [breaker.begin() for _ in range(12)]
    for began in late[:10]:
        breaker.record(began, True, 1.0)
    breaker.checked(True, 12.0)
    assert not breaker.record(late[10], True, 12.5)
    assert breaker.state == "half_open"


def test_checks_in_a_row_make_an_endpoint_unhealthy_and_healthy_again() -> None:
    health = Health(Breaker(POLICY), unhealthy_after=3, healthy_after=2)
    assert [health.checked(False, at) for at in (0, 30)] == [False, False]
    assert not health.checked(True, 60)  # not in a row
    assert [health.checked(False, at) for at in (90, 120, 150)] == [False, False, True]
    assert (health.state, health.usable()) == ("unhealthy", False)
    assert [health.checked(True, at) for at in (180, 210)] == [False, True]
    assert (health.state, health.usable()) == ("healthy", True)


def test_a_drained_endpoint_gets_no_calls_until_its_operator_says_so() -> None:
    health = Health(Breaker(POLICY), unhealthy_after=3, healthy_after=1)
    assert health.drain(True)
    assert not health.drain(True)
    assert (health.state, health.usable()) == ("draining", False)
    assert health.drain(False)
    assert health.usable()
