"""What records say of a request, and what a row becomes of it in whatever order they come."""

from __future__ import annotations

from itertools import permutations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.ui.index import codes
from ops.ui.index.events import Answered, Asked, Died, Event, read_event
from ops.ui.index.keys import MOST_TIME_MS
from ops.ui.index.merge import merged
from ops.ui.index.places import Places
from ops.ui.index.row import Row, place_of
from ops.ui.text import moment
from schemas.dead_letter import DeadLetter, DeadLetterReason
from schemas.json_nodes import too_many_nodes
from tests.unit.ui.models import T0, ARecord, answer_value, request_value
from topics.names import V1

PLACE = place_of(1, 3, 42)
CE_ID = ("ce_id", b"agent.requests.normal:3:42")


def asked(value: bytes | None = None) -> Event | None:
    return read_event(
        Places(V1), "agent.requests.normal", 3, ARecord(42, T0, request_value() if value is None else value)
    )


def answered(offset: int = 9, **changed: object) -> Event | None:
    record = ARecord(offset, T0 + 31, answer_value(**changed), headers=[CE_ID])
    return read_event(Places(V1), "agent.responses", 3, record)


def died(reason: DeadLetterReason = "exhausted") -> Event | None:
    letter = DeadLetter(
        dlq_reason=reason, dlq_stage="providers", dlq_error_type="provider_error", dlq_error_message="no",
        dlq_topic=V1.requests[1], dlq_partition=3, dlq_offset=42, dlq_timestamp=T0, dlq_attempts=3,
    )  # fmt: skip
    headers = [(name, value or b"") for name, value in letter.to_headers()]
    return read_event(Places(V1), V1.dead_letters, 5, ARecord(17, T0 + 40, request_value(), b"a-1", headers))


def row_of(*events: Event | None) -> Row:
    row: Row | None = None
    for event in events:
        assert event is not None
        row = merged(row, event)
    assert row is not None
    return row


def test_a_request_waits_until_its_answer_is_read() -> None:
    row = row_of(asked())
    assert (row.place, row.time_ms, row.request_id, row.agent_id, row.model) == (PLACE, T0, "r-1", "a-1", "small")
    assert (row.status, row.asked) == (codes.WAITING, True)
    row = row_of(asked(), answered())
    assert (row.status, row.provider, row.called_model, row.attempts) == (codes.OK, "sim", "small-v1", 1)
    assert (row.queue_100us, row.provider_100us, row.total_100us) == (15, 202, 300)
    assert (row.answer_partition, row.answer_next, row.input_tokens, row.output_tokens) == (3, 10, 7, 5)


@pytest.mark.parametrize("status", ["error", "ok"])
def test_the_order_in_which_topics_are_read_does_not_matter(status: str) -> None:
    events = [asked(), answered(status=status), died()]
    rows = [row_of(*order) for order in permutations(events)]
    assert {row._replace(error=0, attempts=0, answered_ms=0) for row in rows} == {
        rows[0]._replace(error=0, attempts=0, answered_ms=0)
    }
    assert all(codes.word_of(codes.STATUSES, row.status) == status for row in rows)


def test_an_answer_of_many_objects_is_read_as_any_other() -> None:
    """A thousand tokens with 20 log probabilities each (platform.openai.com, `top_logprobs`) are 85,000."""
    tokens = [
        {"token": "a", "logprob": -1, "top_logprobs": [{"token": "a", "logprob": -1, "bytes": [97]}] * 20}
    ] * 1_000
    payload = {"choices": [{"logprobs": {"content": tokens}}]}
    assert too_many_nodes(orjson.dumps(payload))
    assert row_of(asked(), answered(payload=payload)).status == codes.OK


def test_the_first_answer_counts() -> None:
    row = row_of(asked(), answered(9), answered(10, status="error", provider="other"))
    assert (row.status, row.provider, row.answer_next) == (codes.OK, "sim", 10)


@given(st.lists(st.sampled_from([0, 1, 2]), min_size=1, max_size=8))
def test_what_was_read_before_changes_nothing(order: list[int]) -> None:
    events = [asked(), answered(), died()]
    once = row_of(*(events[number] for number in dict.fromkeys(order)))
    assert row_of(*(events[number] for number in order)) == once


def test_a_dead_letter_alone_is_the_end_of_its_request() -> None:
    row = row_of(asked(b"{"), died("poison"))
    assert (row.status, codes.word_of(codes.REASONS, row.reason), row.dead_partition, row.dead_next) == (
        codes.DEAD,
        "poison",
        5,
        18,
    )


def test_a_request_whose_id_is_its_place_has_none_of_its_own() -> None:
    row = row_of(answered(request_id="agent.requests.normal:3:42"), asked(b'{"payload": {"model": "m"}}'))
    assert (row.request_id, row.model) == ("", "m")


@pytest.mark.parametrize(
    "value",
    [b"", b"null", b"[]", b"{", b'"x"', b"\xff\xfe", b'{"payload": 1, "agent_id": 7, "request_id": {}}', b"[" * 100_000,
     b'{"payload": {"model": {"a": 1}}, "request_id": null}'],
)  # fmt: skip
def test_a_request_that_cannot_be_read_still_has_a_place_and_the_agent_of_its_key(value: bytes) -> None:
    event = read_event(Places(V1), "agent.requests.low", 0, ARecord(1, T0, value, b"by-key"))
    assert isinstance(event, Asked)
    assert (event.place, event.agent_id, event.request_id, event.model) == (place_of(2, 0, 1), "by-key", "", "")


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"[]",
        b'{"timing": 7, "usage": [], "error": "x", "attempts": -1, "status": 5}',
        b'{"timing": {"total_ms": 1e300}, "attempts": 1e9, "usage": {"prompt_tokens": true}}',
    ],
)
def test_an_answer_that_is_none_is_still_an_end_and_has_no_figures(value: bytes) -> None:
    event = read_event(Places(V1), "agent.responses.chat", 3, ARecord(1, T0, value, headers=[CE_ID]))
    assert isinstance(event, Answered)
    assert (event.total_100us, event.attempts, event.input_tokens, event.topic) == (0, 0, 0, "agent.responses.chat")


def test_a_record_that_names_no_request_says_nothing() -> None:
    assert read_event(Places(V1), V1.responses, 0, ARecord(1, T0, answer_value())) is None
    assert (
        read_event(Places(V1), V1.responses, 0, ARecord(1, T0, answer_value(), headers=[("ce_id", b"elsewhere:0:1")]))
        is None
    )
    assert read_event(Places(V1), V1.dead_letters, 0, ARecord(1, T0, b"", headers=[("dlq_reason", b"poison")])) is None
    assert isinstance(died(), Died)


def test_times_out_of_range_are_taken_to_the_nearest() -> None:
    event = read_event(Places(V1), "agent.requests.low", 0, ARecord(1, 2**62, b"{}"))
    assert event is not None
    row = merged(None, event)
    assert row.time_ms == MOST_TIME_MS
    assert "9999-12-31" in moment(row.time_ms)
