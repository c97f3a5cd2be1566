"""A request whose retries are used up: an answer and, where its provider wants that, a dead letter."""

from __future__ import annotations

from dataclasses import replace

import pytest

from schemas.dead_letter import DeadLetter
from schemas.response import WireError
from streams.kafka.records import Original
from streams.pipeline import Outcome, PendingRequest
from tests.support.requests import SampleRecord, SampleSource, pending
from tests.unit.delivery.test_delivery import KeptOutbox, Paid, delivery, read
from topics.names import DEAD_LETTERS, RESPONSES

EXHAUSTED = Outcome(
    "error",
    error=WireError("provider_error", "sim answered 500 to ***", True),
    provider="sim",
    attempts=3,
    dead_letter=True,
)
RECORD = SampleRecord(b'{"x": 1}', b"key", [("own", b"\x00"), ("dlq_reason", b"an earlier one")], partition=3)


def kept(source: SampleSource) -> PendingRequest:
    request = pending(source=source, index=5)
    request.original = Original(RECORD, RECORD.origin)
    return request


def test_the_letter_has_the_record_as_it_came_and_says_why() -> None:
    outbox = KeptOutbox()
    delivery(outbox).respond(kept(SampleSource()), EXHAUSTED)
    (to, letter), (answered, answer) = outbox.posted
    assert (to, letter.key, letter.value) == ((DEAD_LETTERS, 3), RECORD.key, RECORD.value)
    assert ("own", b"\x00") in letter.headers
    assert DeadLetter.from_headers(letter.headers) == DeadLetter(
        dlq_reason="exhausted", dlq_stage="providers", dlq_error_type="provider_error",
        dlq_error_message="sim answered 500 to ***", dlq_topic=RECORD.topic, dlq_partition=3, dlq_offset=RECORD.offset,
        dlq_timestamp=RECORD.timestamp, dlq_attempts=3, dlq_provider="sim",
    )  # fmt: skip
    assert answered.topic == RESPONSES
    assert (read(answer)["status"], read(answer)["attempts"]) == ("error", 3)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_record_is_finished_after_both_and_hurries_the_commit(order: tuple[int, int]) -> None:
    outbox, source, paid = KeptOutbox(), SampleSource(), Paid()
    delivery(outbox, paid).respond(kept(source), EXHAUSTED)
    outbox.ack(order[0])
    assert (source.finished, paid.times) == ([], 0)
    outbox.ack(order[1])
    assert (source.finished, paid.times) == ([5], 1)


@pytest.mark.parametrize(
    "outcome", [replace(EXHAUSTED, dead_letter=False), Outcome("ok", payload=b"{}", provider="sim", attempts=3)]
)
def test_without_the_wish_there_is_only_the_answer(outcome: Outcome) -> None:
    outbox, source = KeptOutbox(), SampleSource()
    delivery(outbox).respond(kept(source), outcome)
    assert [to.topic for to, _ in outbox.posted] == [RESPONSES]
    outbox.ack(0)
    assert source.finished == [5]
