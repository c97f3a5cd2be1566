"""The breaker, alone and against an obvious model."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.providers.breaker import Breaker, BreakerPolicy

POLICY = BreakerPolicy(calls=20, window_s=30, min_volume=10, error_share=0.5, open_for_s=10, probes=3)


def call(breaker: Breaker, now: float, *, fails: bool, everywhere: bool = False) -> bool:
    assert breaker.allows(now)
    began = breaker.begin()
    breaker.end(began)
    if fails:
        return breaker.failed(began, now, "illness", "500", everywhere=everywhere)
    return breaker.succeeded(began, now)


def opened(at: float = 0.0) -> Breaker:
    breaker = Breaker(POLICY)
    for _ in range(5):
        call(breaker, at, fails=True)
    assert breaker.state == "open"
    return breaker


def half_open(at: float = 10.0) -> Breaker:
    breaker = opened()
    assert breaker.checked(True, at)
    return breaker


@given(st.lists(st.tuples(st.floats(0, 8), st.sampled_from(["good", "bad", "bad everywhere"])), max_size=80))
def test_it_opens_on_a_share_of_the_recent_calls_or_on_a_run_and_never_else(calls: list[tuple[float, str]]) -> None:
    breaker, now = Breaker(POLICY), 0.0
    judged: list[tuple[float, bool]] = []  # of those that count: when, and whether it failed
    run: list[tuple[float, str]] = []  # failures since the last good call
    for pause_s, kind in calls:
        now += pause_s
        if run and (kind == "good" or now > run[-1][0] + 30):
            run = []
        if kind != "good":
            run.append((now, kind))
        if kind != "bad everywhere":
            judged.append((now, kind == "bad"))
        changed = call(breaker, now, fails=kind != "good", everywhere=kind == "bad everywhere")
        recent = [bad for at, bad in judged[-20:] if at > now - 30]
        too_many = kind == "bad" and len(recent) >= 10 and sum(recent) >= 0.5 * len(recent)
        in_a_row = [each for _, each in run].count("bad") >= 5 or len(run) >= 10
        should_open = kind != "good" and (too_many or in_a_row)
        assert changed == should_open == (breaker.state == "open")
        if should_open:
            return


def test_a_fault_after_many_good_calls_is_noticed_after_a_few_failures_at_any_rate() -> None:
    breaker = Breaker(POLICY)
    for number in range(10_000):
        call(breaker, number * 0.001, fails=False)
    assert [call(breaker, 10 + number * 0.001, fails=True) for number in range(5)] == [False] * 4 + [True]


def test_requests_that_fail_everywhere_open_nothing_while_others_are_answered() -> None:
    breaker = Breaker(POLICY)
    for number in range(100):
        for _ in range(9):
            call(breaker, number, fails=True, everywhere=True)
        call(breaker, number, fails=False)
    assert breaker.state == "closed"


def test_a_request_that_fails_everywhere_leaves_no_suspicion_behind() -> None:
    breaker = Breaker(POLICY)
    began = breaker.begin()
    breaker.suspected(began, 0.0)
    breaker.end(began)
    breaker.failed(began, 0.1, "illness", "500", everywhere=True)
    assert not breaker.suspect(0.1)


def test_where_every_request_fails_everywhere_it_opens_at_last() -> None:
    breaker = Breaker(POLICY)
    assert [call(breaker, 0.0, fails=True, everywhere=True) for _ in range(10)] == [False] * 9 + [True]


def test_after_a_failure_others_are_preferred_for_a_while_and_one_call_at_a_time_tries_it() -> None:
    breaker = Breaker(POLICY)
    assert not breaker.suspect(0.0)
    breaker.suspected(breaker.begin(), 0.0)
    breaker.end(0)
    assert [breaker.suspect(at) for at in (0.5, 1.5)] == [True, False]
    trying = breaker.begin()
    assert breaker.suspect(1.5)  # until it is known how that one ends
    breaker.suspected(trying, 1.6)
    breaker.end(trying)
    assert [breaker.suspect(at) for at in (2.5, 2.7)] == [True, False]
    assert breaker.state == "closed"
    call(breaker, 3.7, fails=False)
    breaker.begin()
    assert not breaker.suspect(3.7)


def test_an_open_one_lets_nothing_through_until_a_check_has_succeeded_after_its_pause() -> None:
    breaker = opened(at=5.0)
    assert not breaker.allows(14.0)
    assert breaker.check_due_s(7.0) == 8.0
    assert not breaker.checked(True, 14.0)  # too early
    assert not breaker.checked(False, 15.0)
    assert (breaker.allows(15.0), breaker.check_due_s(15.0)) == (False, 10.0)
    assert breaker.checked(True, 25.0)
    assert (breaker.state, breaker.allows(25.0), breaker.check_due_s(25.0)) == ("half_open", True, None)


def test_half_open_tries_one_call_then_a_few_and_closes_after_as_many_good_ones() -> None:
    breaker = half_open()
    first = breaker.begin()
    assert not breaker.allows(10.0)
    breaker.end(first)
    assert not breaker.succeeded(first, 11.0)
    probes = []
    while breaker.allows(11.0):
        probes.append(breaker.begin())
    assert len(probes) == 2
    for probe in probes:
        breaker.end(probe)
    assert [breaker.succeeded(probe, 11.0) for probe in probes] == [False, True]
    assert breaker.state == "closed"


def test_each_time_that_it_opens_again_its_pause_is_twice_as_long_up_to_the_longest() -> None:
    breaker, now, pauses = opened(), 0.0, []
    for _ in range(5):
        pauses.append(breaker.until - now)
        now = breaker.until
        assert breaker.checked(True, now)
        assert call(breaker, now, fails=True)
    assert pauses == [10, 20, 40, 60, 60]
    breaker.checked(True, breaker.until)
    for _ in range(3):
        call(breaker, breaker.until, fails=False)
    now = breaker.until
    for _ in range(5):
        call(breaker, now, fails=True)
    assert breaker.until - now == 10  # it was well in between


def test_one_failed_probe_opens_it_again_and_the_others_say_nothing_any_more() -> None:
    breaker = half_open()
    call(breaker, 10.0, fails=False)
    first, second = breaker.begin(), breaker.begin()
    assert breaker.failed(first, 11.0, "illness", "500")
    assert not breaker.succeeded(second, 11.5)
    assert (breaker.state, breaker.check_due_s(11.0)) == ("open", 20.0)


def test_a_probe_that_says_nothing_makes_room_for_another_one() -> None:
    breaker = half_open()
    breaker.end(breaker.begin())
    assert breaker.allows(10.0)


def test_calls_from_before_it_opened_do_not_count_afterwards() -> None:
    breaker = Breaker(POLICY)
    late = [breaker.begin() for _ in range(12)]
    for began in late[:5]:
        breaker.failed(began, 1.0, "illness", "500")
    breaker.checked(True, 12.0)
    assert not breaker.failed(late[10], 12.5, "illness", "500")
    assert not breaker.refused(late[11], 12.5, "key", "401")
    assert breaker.state == "half_open"


def test_a_refused_key_opens_it_at_once_and_one_call_tries_it_after_a_longer_pause_without_a_check() -> None:
    breaker = Breaker(POLICY)
    assert breaker.refused(breaker.begin(), 0.0, "key", "401")
    breaker.end(0)
    assert (breaker.state, breaker.check_due_s(0.0), breaker.allows(29.9)) == ("open", None, False)
    assert not breaker.checked(True, 31.0)  # a list of models says nothing of a key
    assert breaker.allows(30.0)
    trying = breaker.begin()
    assert (breaker.state, breaker.allows(30.0)) == ("half_open", False)
    breaker.end(trying)
    assert breaker.refused(trying, 30.5, "key", "401")
    assert breaker.until == 90.5
    assert call(breaker, 90.5, fails=False)
    assert breaker.state == "closed"  # one good call says enough


def test_a_new_key_is_tried_at_once() -> None:
    breaker = Breaker(POLICY)
    breaker.refused(breaker.begin(), 0.0, "key", "401")
    assert breaker.renew()
    assert breaker.allows(0.0)
    assert not breaker.renew()
