"""Which letters a redrive means, what is sent of one, and where a redrive is after any records."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from schemas.admin import AdminOutcome, GoOnRedrive, LetterFilter, Moved, OutcomeState, Redrive, StopRedrive
from schemas.dead_letter import DeadLetter
from streams.actions.letters import Again, again, fits, letter_of, times_redriven, why_not
from streams.actions.redrives import MOST_OPEN, RedriveBook
from streams.actions.wire import Noted
from tests.support.requests import SampleRecord
from topics.names import DEAD_LETTERS, V1

VALUE = orjson.dumps({"payload": {"model": "small"}, "agent_id": "agent-9"})
AT = 1_780_000_000_000


def dead(value: bytes | None = VALUE, headers: Any = (), **fields: Any) -> SampleRecord:
    given = {
        "dlq_reason": "exhausted", "dlq_stage": "providers", "dlq_error_type": "provider_error", "dlq_error_message": "503",
        "dlq_topic": "agent.requests.high", "dlq_partition": 3, "dlq_offset": 5, "dlq_timestamp": 1, "dlq_attempts": 3,
        "dlq_provider": "main", **fields,
    }  # fmt: skip
    made: Any = DeadLetter.model_validate(given).to_headers(headers)
    return SampleRecord(value, b"agent-1", made, DEAD_LETTERS, 3, 41, AT)


def means(record: SampleRecord, **wanted: Any) -> bool:
    return fits(LetterFilter(**wanted), V1, record.partition, record, letter_of(record))


@pytest.mark.parametrize(
    ("wanted", "fitting"),
    [
        ({}, True),
        ({"reason": "exhausted", "provider": "main", "priority": "high", "model": "small", "agent": "agent-9"}, True),
        ({"reason": "poison"}, False),
        ({"provider": "other"}, False),
        ({"priority": "low"}, False),
        ({"error_type": "provider_timeout"}, False),
        ({"model": "large"}, False),
        ({"agent": "agent-1"}, False),
        ({"positions": ["3:41"]}, True),
        ({"positions": ["3:42", "4:41"]}, False),
        ({"positions": []}, False),
        ({"since": datetime.fromtimestamp(AT / 1000, UTC)}, True),
        ({"before": datetime.fromtimestamp(AT / 1000, UTC)}, False),
    ],
)
def test_a_filter_means_what_has_all_that_it_names(wanted: dict[str, Any], fitting: bool) -> None:
    assert means(dead(), **wanted) == fitting


def test_a_letter_without_a_value_that_can_be_read_is_its_keys_agents() -> None:
    for value in (None, b"\xff", b"[1]", b'{"agent_id": 7}'):
        assert means(dead(value), agent="agent-1")
        assert not means(dead(value), model="small")


def test_the_original_is_sent_with_how_often_it_was() -> None:
    """A count that begins anew with each retry by hand ends never: own-pay/OwnPay#172, TinyAGI/tinyagi#223."""
    record = dead(headers=[("traceparent", b"t"), ("redriven", b"1")])
    letter = letter_of(record)
    assert letter is not None
    assert again(record, letter) == Again(
        "agent.requests.high", b"agent-1", VALUE, [("traceparent", b"t"), ("redriven", b"2")]
    )


@pytest.mark.parametrize(("header", "times"), [(b"0", 0), (b"2", 2), (b"", 3), (b"-1", 3), (b"9" * 400, 3), (b"x", 3)])
def test_a_count_that_a_stranger_has_bent_does_not_open_the_guard(header: bytes, times: int) -> None:
    assert times_redriven(dead(headers=[("redriven", header)])) == times


def test_what_did_not_come_from_a_request_topic_is_not_sent_there() -> None:
    """A letter may say anything: it must not be a way to write on other topics."""
    for record in (dead(dlq_topic="agent.keys"), dead(dlq_topic="other.agent.requests.high")):
        assert "no request topic" in (why_not(V1, record, letter_of(record)) or "")
    assert why_not(V1, SampleRecord(), letter_of(SampleRecord())) is not None
    assert why_not(V1, dead(), letter_of(dead())) is None


# ---- the book


def noted(record: Any, offset: int = 0) -> Noted:
    return Noted(record, 1.0, offset)


def asked(name: str) -> Redrive:
    return Redrive(action_id=name, requested_by="ann")


def said(name: str, state: OutcomeState, sent: int, action: Any = "redrive", until: Any = None) -> AdminOutcome:
    moved = Moved(sent=sent, next_offset=sent, until=until or {})
    return AdminOutcome(action_id=name, action=action, state=state, process="p", moved=moved)


def stop(name: str, of: str) -> StopRedrive:
    return StopRedrive(action_id=name, requested_by="ann", redrive_id=of)


def go_on(name: str, of: str, rate: int | None = None) -> GoOnRedrive:
    return GoOnRedrive(action_id=name, requested_by="ann", redrive_id=of, rate=rate)


def test_a_redrive_is_where_its_newest_outcome_says_and_others_wait_for_its_end() -> None:
    book = RedriveBook()
    for record in (asked("one"), asked("two"), said("one", "running", 0, until={"0": 9}), said("one", "running", 5)):
        book.note(noted(record))
    found = book.next()
    assert found is not None
    assert (found.action.action_id, found.moved.sent, found.moved.until) == ("one", 5, {"0": 9})
    book.note(noted(said("one", "done", 9)))
    book.note(noted(said("one", "running", 1)))  # by a process that came too late: an end is an end
    assert book.all["one"].moved.sent == 9
    assert (following := book.next()) is not None
    assert following.action.action_id == "two"


def test_a_stopped_one_waits_and_goes_on_where_it_was_at_another_rate() -> None:
    book = RedriveBook()
    for record in (asked("one"), said("one", "running", 5), stop("s", "one")):
        book.note(noted(record))
    assert (found := book.next()) is not None, "somebody has to say that it is stopped"
    assert found.stopping
    book.note(noted(said("one", "stopped", 5)))
    assert book.next() is None
    book.note(noted(go_on("g", "one", 20)))
    assert (found := book.next()) is not None
    assert (found.moved.sent, found.rate, found.stopping) == (5, 20, False)


def test_what_was_asked_of_a_redrive_that_is_not_there_is_refused_once() -> None:
    book = RedriveBook()
    book.note(noted(stop("s", "nowhere")))
    (answer,) = book.answers()
    assert (answer.action_id, answer.action, answer.state) == ("s", "redrive_stop", "refused")
    book.note(noted(answer))
    assert book.answers() == []


def test_of_more_than_a_hundred_that_wait_the_last_are_refused_and_the_same_id_is_one_redrive() -> None:
    book = RedriveBook()
    for number in range(MOST_OPEN + 3):
        book.note(noted(asked(f"r-{number}")))
        book.note(noted(asked(f"r-{number}")))
    refused = book.answers()
    assert [each.action_id for each in refused] == [f"r-{MOST_OPEN + number}" for number in range(3)]
    assert {each.state for each in refused} == {"refused"}
    for number in range(5000):
        book.note(noted(asked(f"flood-{number}")))
    assert len(book.all) <= 1500
