"""The checker against made books: what holds passes, and each violation is found, wherever it is put."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.lab.book import Asked, Book, Call, Disturbance, Ended, Limit, read_asked, read_calls, read_ended
from ops.lab.checker import BOUND_S, COMMIT_S, SETTLE_S, check, fullest
from ops.provider_sim.answers import ChatTokens, chat_answer

OPEN, LIMITED = "open", "limited"
LIMIT = Limit(10, 6.0)


def name(number: int) -> str:
    return f"r-{number}"


def asked(number: int, at: float) -> Asked:
    return Asked(name(number), f"p-{number}", f"agent-{number % 3}", OPEN, f"mark-{number}", 0.1, at)


def ok(request: Asked, at: float) -> Ended:
    return Ended(request.request_id, "ok", at, request.agent_id, request.mark)


def call(request: Asked, at: float, outcome: str = "ok") -> Call:
    return Call(request.provider, request.prompt_id, at, at + 0.1, outcome)


def well(count: int = 30) -> Book:
    """One request a second, called 0.1 s after it was asked and answered 0.2 s later; nothing is broken."""
    requests = [asked(number, float(number)) for number in range(count)]
    return Book(
        {request.request_id: request for request in requests},
        [ok(request, request.at + 0.3) for request in requests],
        [call(request, request.at + 0.1) for request in requests],
        limits={OPEN: LIMIT},
        faults_over_at=float(count),
    )


def kinds(book: Book) -> list[str]:
    return sorted({violation.kind for violation in check(book).violations})


def broken(begin: float, end: float, *, moves_calls: bool = True) -> Disturbance:
    return Disturbance("worker_kill", "w0", begin, end, begin, moves_calls)


places = st.integers(0, 29)


def test_a_book_where_all_is_well_holds() -> None:
    verdict = check(well())
    assert not verdict.violations
    assert (verdict.asked, verdict.answered, verdict.lost, verdict.paid_twice) == (30, 30, 0, 0)
    assert verdict.availability == 1.0
    assert verdict.most_of_limit == 0.6


@given(places)
def test_a_request_without_an_end_is_lost(place: int) -> None:
    book = well()
    verdict = check(replace(book, ended=[end for end in book.ended if end.request_id != name(place)]))
    assert [(each.kind, each.what) for each in verdict.violations] == [("lost", name(place))]
    assert verdict.lost == 1


@given(places)
def test_a_dead_letter_is_an_end(place: int) -> None:
    book = well()
    ends = [Ended(end.request_id, "dead", end.at) if end.request_id == name(place) else end for end in book.ended]
    assert not check(replace(book, ended=ends)).violations


@given(places, st.sampled_from(["error", "expired", "rejected"]), st.booleans())
def test_what_is_not_ok_must_say_why(place: int, status: str, says: bool) -> None:
    book = well()
    ends = list(book.ended)
    ends[place] = Ended(name(place), status, ends[place].at, ends[place].agent_id, reason="why" if says else None)
    assert kinds(replace(book, ended=ends)) == ([] if says else ["without reason"])


@given(places, places)
def test_an_answer_with_the_mark_of_another_is_found(place: int, other: int) -> None:
    book = well()
    ends = list(book.ended)
    ends[place] = replace(ends[place], mark=f"mark-{other}")
    assert kinds(replace(book, ended=ends)) == ([] if place == other else ["of another"])


def test_an_answer_to_another_agent_or_to_what_was_never_asked_is_found() -> None:
    book = well()
    ends = list(book.ended)
    assert kinds(replace(book, ended=[*ends[1:], replace(ends[0], agent_id="agent-9")])) == ["of another"]
    assert kinds(replace(book, ended=[*ends, Ended("r-99", "ok", 5.0, "agent-0", "mark-99")])) == ["of another"]


@given(places, st.floats(COMMIT_S + 0.01, 1000))
def test_a_call_after_the_commit_is_paid_again(place: int, later: float) -> None:
    """KAFKA.md K3 and K4 in kind: what was finished is called once more, and no answer shows it."""
    book = well()
    again = call(book.asked[name(place)], place + 0.3 + later)
    assert kinds(replace(book, calls=[*book.calls, again])) == ["paid again"]


@given(places, st.floats(COMMIT_S + 0.01, 1000))
def test_an_answer_after_the_commit_is_found_though_nothing_is_paid(place: int, later: float) -> None:
    """A commit that is lost is seen so where the fleet remembers the answer: no provider is called."""
    book = well()
    again = ok(book.asked[name(place)], place + 0.3 + later)
    assert kinds(replace(book, ended=[*book.ended, again], faults_over_at=0.0)) == ["answered again"]


@given(places, st.floats(0, COMMIT_S))
def test_two_calls_of_one_request_with_nothing_broken_are_paid_again(place: int, later: float) -> None:
    book = well()
    again = call(book.asked[name(place)], place + 0.3 + later)
    assert kinds(replace(book, calls=[*book.calls, again], limits={})) == ["paid again"]


@given(places, st.floats(-SETTLE_S, COMMIT_S + 0.2))
def test_what_was_under_way_when_something_broke_may_be_paid_twice_and_is_counted(place: int, when: float) -> None:
    book = well()
    again = call(book.asked[name(place)], place + 20.0)
    verdict = check(replace(book, calls=[*book.calls, again], disturbances=[broken(place + when, place + when)]))
    assert not verdict.violations
    assert verdict.paid_twice == 1


@given(places, st.floats(COMMIT_S + 0.4, 100))
def test_a_death_long_after_the_commit_excuses_nothing(place: int, later: float) -> None:
    """So does the kill of all workers at the end of a run."""
    book = well()
    death = broken(place + 0.3 + later, place + 0.3 + later)
    again = call(book.asked[name(place)], death.begin + 1)
    assert kinds(replace(book, calls=[*book.calls, again], disturbances=[death])) == ["paid again"]


def test_a_fault_of_a_provider_excuses_no_second_payment() -> None:
    book = well()
    again = call(book.asked[name(3)], 20.0)
    fault = broken(2.0, 5.0, moves_calls=False)
    assert kinds(replace(book, calls=[*book.calls, again], disturbances=[fault])) == ["paid again"]


def test_calls_that_failed_and_were_tried_again_are_paid_once() -> None:
    book = well()
    first = call(book.asked[name(3)], 3.05, "error")
    verdict = check(replace(book, calls=[*book.calls, first]))
    assert (verdict.violations, verdict.paid_twice) == ((), 0)


def test_two_requests_that_ask_the_same_may_be_called_twice() -> None:
    book = well()
    twin = replace(asked(31, 3.0), prompt_id="p-3", mark="mark-3")
    more = replace(
        book,
        asked={**book.asked, twin.request_id: twin},
        ended=[*book.ended, ok(twin, 3.3)],
        calls=[*book.calls, call(twin, 3.1)],
    )
    assert not check(more).violations


@given(st.floats(0, 29), st.integers(11, 30))
def test_more_calls_in_any_window_than_allowed_are_found(at: float, count: int) -> None:
    """However they lie in a window, and whatever the provider answered."""
    burst = [Call(OPEN, f"x-{n}", at + n * 0.1, None, "rate_limited") for n in range(count)]
    assert kinds(replace(well(), calls=burst)) == ["over limit"]


def test_a_call_that_the_provider_refuses_for_its_limit_is_found() -> None:
    book = well()
    refused = Call(OPEN, "p-3", 3.05, 3.06, "over_limit")
    assert kinds(replace(book, calls=[*book.calls, refused])) == ["over limit"]


@given(st.lists(st.floats(0, 100), max_size=40), st.floats(0.1, 20))
def test_the_fullest_window_is_what_a_slow_count_says(times: list[float], window_s: float) -> None:
    slow = max((sum(start <= each < start + window_s for each in times) for start in times), default=0)
    assert fullest(sorted(times), window_s) == slow


def test_an_answer_long_after_all_was_well_is_late() -> None:
    book = well()
    ends = [*book.ended[:-1], replace(book.ended[-1], at=30.0 + BOUND_S + 1)]
    assert kinds(replace(book, ended=ends)) == ["late"]


def test_a_process_that_ended_by_itself_is_told() -> None:
    assert kinds(replace(well(), exits=["worker w1 ended with 1: boom"])) == ["ended"]


def test_availability_leaves_out_what_a_fault_of_a_provider_touched() -> None:
    book = well()
    ends = list(book.ended)
    ends[10] = Ended(name(10), "error", ends[10].at, reason="provider_error")
    fault = replace(broken(9.5, 10.5, moves_calls=False), kind="provider_errors")
    assert check(replace(book, ended=ends)).availability == pytest.approx(29 / 30)
    verdict = check(replace(book, ended=ends, disturbances=[fault]))
    assert verdict.availability == 1.0
    assert verdict.live_asked < verdict.asked


def test_the_mark_of_an_answer_is_that_of_the_request_it_was_made_for() -> None:
    payload = {
        "model": "large",
        "messages": [{"role": "user", "content": "one"}],
        "headrace_sim": {"id": "p-1", "latency_ms": 250},
    }
    request = orjson.dumps({"request_id": "r-1", "agent_id": "a", "payload": payload})
    answer = chat_answer(payload, ChatTokens(1, 8, cut=False), 0)
    response = orjson.dumps({"request_id": "r-1", "status": "ok", "agent_id": "a", "payload": answer})
    one, end = read_asked(request, b"a", 1_000, {"large": OPEN}), read_ended(response, 2_000)
    assert (one.prompt_id, one.provider, one.takes_s, one.at) == ("p-1", OPEN, 0.25, 1.0)
    assert end.mark == one.mark
    other = chat_answer(payload | {"messages": [{"role": "user", "content": "two"}]}, ChatTokens(1, 8, cut=False), 0)
    mixed = orjson.dumps({"request_id": "r-1", "status": "ok", "payload": {**answer, "choices": other["choices"]}})
    assert read_ended(mixed, 2_000).mark != one.mark


def test_calls_are_read_from_a_providers_book() -> None:
    lines = [
        {"event": "arrival", "call": 1, "id": "p-1", "at": 5.0},
        {"event": "arrival", "call": 2, "id": "p-2", "at": 5.5},
        {"event": "end", "call": 1, "id": "p-1", "at": 6.0, "outcome": "ok"},
    ]
    assert read_calls(OPEN, lines) == [Call(OPEN, "p-1", 5.0, 6.0, "ok"), Call(OPEN, "p-2", 5.5)]
