"""What is written for a request or a record, and when the record counts as finished."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import jsonschema
import orjson
import pytest
from aiokafka.structs import TopicPartition

from schemas.dead_letter import DeadLetter
from schemas.export import json_schema
from schemas.response import NO_USAGE, Response, Usage
from streams.cache.answers import Answer
from streams.delivery.batch import Message
from streams.delivery.delivery import Delivery
from streams.delivery.outbox import Outbox
from streams.kafka.cluster import Cluster
from streams.kafka.records import Origin, Original
from streams.pipeline import Outcome, Rejected, error_outcome, expired
from tests.support.requests import SampleRecord, SampleSource, pending
from topics.names import DEAD_LETTERS, RESPONSES
from topics.partitioner import partition_for

NOW = 1010.5
TRACE = b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01"
POISON = Rejected("poison", "invalid_request", "no good", "request-1")
POISON_OF_SOMEBODY = Rejected("poison", "invalid_request", "no good", "request-1", "agent-1", "chat-1")


class KeptOutbox(Outbox):
    """Keeps what is posted, until the test says that the broker has it."""

    def __init__(self) -> None:
        super().__init__(Cluster(None), 1_000, 1.0)
        self.posted: list[tuple[TopicPartition, Message]] = []

    def post(self, to: TopicPartition, message: Message) -> None:
        self.posted.append((to, message))

    def ack(self, number: int) -> None:
        message = self.posted[number][1]
        message.receipt.finish(message.index)


class Paid:
    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


def delivery(outbox: Outbox, paid: Paid | None = None, **partitions: int) -> Delivery:
    """With so many partitions of each topic, 12 unless said."""
    counts = {name.replace("_", "."): count for name, count in partitions.items()}
    cluster = SimpleNamespace(partitions_for_topic=lambda topic: set(range(counts.get(topic, 12))))
    return Delivery(Cluster(SimpleNamespace(cluster=cluster)), outbox, paid or Paid(), now=lambda: NOW)


def origin_of(record: SampleRecord) -> tuple[SampleRecord, Origin]:
    return record, record.origin


def read(message: Message) -> dict[str, Any]:
    """A response's value, once it has passed the model and the exported schema."""
    assert message.value is not None
    Response.model_validate_json(message.value)
    found: dict[str, Any] = orjson.loads(message.value)
    jsonschema.validate(found, json_schema("response"))
    return found


OUTCOMES = {
    "ok": Outcome(
        "ok", payload=b'{"id": "x"}', usage=Usage(3, 4, 7), provider="sim", attempts=2, provider_s=1.25, cache="none"
    ),
    "hit": Outcome("ok", payload=b'{"id": "x"}', usage=Usage(3, 4, 7), cache="memory"),
    "expired": expired("in the queue"),
    "error": error_outcome("invalid_reply_to", "no such topic"),
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_every_outcome_is_a_response_of_the_contract(name: str) -> None:
    outbox, outcome = KeptOutbox(), OUTCOMES[name]
    request = pending()
    delivery(outbox).respond(request, outcome)
    ((to, message),) = outbox.posted
    value = read(message)
    assert (to.topic, to.partition) == (RESPONSES, partition_for(request.agent_id.encode(), 12))
    assert (message.key, value["agent_id"], value["request_id"]) == (
        request.agent_id.encode(), request.agent_id, request.request_id,
    )  # fmt: skip
    assert (value["status"], value["conversation_id"]) == (outcome.status, "chat-1")
    assert (value["attempts"], value["provider"], value["cache"]) == (outcome.attempts, outcome.provider, outcome.cache)
    assert value["payload"] == (orjson.loads(outcome.payload) if outcome.payload else None)
    assert value["completed_at"] == "1970-01-01T00:16:50.500000Z"


def test_a_list_of_hits_is_answered_as_each_would_be_by_itself() -> None:
    together, apart = KeptOutbox(), KeptOutbox()
    answers = [
        Answer(b'{"id": "x"}', Usage(3, 4, 7), "sim", 2000.0),
        Answer(b'{"id":"\xc3\xa9"}', NO_USAGE, 'a"b', 2000.0),
    ]
    hits = [
        (pending(received_at=1000.0, traceparent=TRACE), answers[0]),
        (pending(received_at=2000.0, reply_topic="agent.responses.x"), answers[1]),
        (pending(received_at=1010.4321, request_id='quoted "id" \u20ac', conversation_id=None), answers[0]),
    ]
    delivery(together, agent_responses_x=5).respond_hits(hits, "disk")
    for request, answer in hits:
        delivery(apart, agent_responses_x=5).respond(request, answer.outcome("disk"))
    assert [to for to, _ in together.posted] == [to for to, _ in apart.posted]
    for (_, message), (_, alone), (request, _) in zip(together.posted, apart.posted, hits, strict=True):
        value, wanted = read(message), read(alone)
        for each in (value, wanted):
            each["completed_at"] = datetime.fromisoformat(each["completed_at"])
        assert value == wanted
        assert (message.key, sorted(message.headers)) == (alone.key, sorted(alone.headers))
        assert (message.receipt, message.index, message.on_refused) == (request.source, request.index, None)


def test_a_large_hit_that_the_topic_does_not_take_is_an_error() -> None:
    outbox = KeptOutbox()
    large = Answer(orjson.dumps({"text": "x" * 50_000}), NO_USAGE, "sim", 2000.0)
    delivery(outbox).respond_hits([(pending(), large)], "memory")
    on_refused = outbox.posted[0][1].on_refused
    assert on_refused is not None
    on_refused()
    assert read(outbox.posted[1][1])["error"]["type"] == "answer_too_large"


def test_headers_are_cloudevents_and_name_the_same_event_however_often_it_is_answered() -> None:
    outbox = KeptOutbox()
    request = pending(traceparent=TRACE)
    for _ in range(2):
        delivery(outbox).respond(request, OUTCOMES["ok"])
    first, again = (dict(message.headers) for _, message in outbox.posted)
    assert first == again == {
        "ce_specversion": b"1.0",
        "ce_type": b"headrace.response.v1",
        "ce_source": b"/headrace",
        "ce_id": request.event_id,
        "ce_time": b"1970-01-01T00:16:50.500Z",
        "content-type": b"application/json",
        "request_id": request.request_id.encode(),
        "traceparent": TRACE,
    }  # fmt: skip


def test_total_time_counts_from_the_record_and_queue_time_ends_with_dispatch() -> None:
    outbox = KeptOutbox()
    request = pending(received_at=1000.0)
    request.dispatched_at = 1002.0
    delivery(outbox).respond(request, OUTCOMES["ok"])
    delivery(outbox).respond(pending(received_at=1000.0), OUTCOMES["expired"])
    delivery(outbox).respond(pending(received_at=2000.0), OUTCOMES["expired"])  # the broker's clock is ahead of ours
    called, waited, ahead = (read(message)["timing"] for _, message in outbox.posted)
    assert called == {"queue_ms": 2000.0, "provider_ms": 1250.0, "total_ms": 10_500.0}
    assert waited == {"queue_ms": 10_500.0, "provider_ms": 0.0, "total_ms": 10_500.0}
    assert ahead == {"queue_ms": 0.0, "provider_ms": 0.0, "total_ms": 0.0}


def test_an_answer_goes_to_the_reply_topic_by_its_own_partitions() -> None:
    outbox = KeptOutbox()
    request = pending(reply_topic="agent.responses.x")
    delivery(outbox, agent_responses_x=5).respond(request, OUTCOMES["ok"])
    ((to, _),) = outbox.posted
    assert to == ("agent.responses.x", partition_for(request.agent_id.encode(), 5))


@pytest.mark.parametrize(("wanted", "goes_to"), [(0, 0), (2, 2), (3, None), (10**6, None), (None, None)])
def test_an_answer_goes_to_the_partition_that_its_caller_reads_where_there_is_one(
    wanted: int | None, goes_to: int | None
) -> None:
    outbox, topic = KeptOutbox(), "agent.responses.front"
    request = replace(pending(), reply_topic=topic, reply_partition=wanted)
    by_key = partition_for(request.agent_id.encode(), 3)
    writer = delivery(outbox, agent_responses_front=3)
    writer.respond(request, OUTCOMES["ok"])
    writer.respond_hits([(request, Answer(b"{}", NO_USAGE, "sim", 2000.0))], "memory")
    assert [to.partition for to, _ in outbox.posted] == [by_key if goes_to is None else goes_to] * 2


def test_a_record_is_finished_by_the_ack_and_only_a_paid_one_hurries_the_commit() -> None:
    outbox, paid = KeptOutbox(), Paid()
    source = SampleSource()
    for number, name in enumerate(("ok", "hit")):
        delivery(outbox, paid).respond(pending(source=source, index=number), OUTCOMES[name])
    assert (source.finished, paid.times) == ([], 0)
    outbox.ack(0)
    assert (source.finished, paid.times) == ([0], 1)
    outbox.ack(1)
    assert (source.finished, paid.times) == ([0, 1], 1)


def test_a_paid_receipt_passes_on_what_it_is_told() -> None:
    outbox, source = KeptOutbox(), SampleSource()
    delivery(outbox).respond(pending(source=source), OUTCOMES["ok"])
    receipt = outbox.posted[0][1].receipt
    receipt.stuck(True)
    receipt.stuck(False)
    source.live = False
    assert (source.marks, receipt.live) == ([True, False], False)


def test_a_large_answer_that_the_topic_does_not_take_is_an_error_that_still_tells_what_it_cost() -> None:
    outbox = KeptOutbox()
    large = Outcome(
        "ok", payload=orjson.dumps({"text": "x" * 50_000}), usage=Usage(3, 4, 7), provider="sim", attempts=1
    )
    delivery(outbox).respond(pending(reply_topic="agent.responses.small"), large)
    on_refused = outbox.posted[0][1].on_refused
    assert on_refused is not None
    on_refused()
    value = read(outbox.posted[1][1])
    assert (value["status"], value["error"]["type"], value["payload"]) == ("error", "answer_too_large", None)
    assert (value["usage"]["total_tokens"], value["attempts"], value["provider"]) == (7, 1, "sim")
    assert outbox.posted[1][0].topic == "agent.responses.small"


def test_a_dead_letter_keeps_key_value_and_headers_and_says_why() -> None:
    outbox, source = KeptOutbox(), SampleSource()
    record = SampleRecord(b"\xff\xfe", b"key", [("own", b"\x00"), ("dlq_reason", b"an earlier one")], partition=3)
    delivery(outbox).reject(*origin_of(record), source, 5, POISON)
    ((to, message),) = outbox.posted
    assert (to, message.key, message.value) == ((DEAD_LETTERS, 3), b"key", b"\xff\xfe")
    assert ("own", b"\x00") in message.headers
    letter = DeadLetter.from_headers(message.headers)
    assert letter == DeadLetter(
        dlq_reason="poison", dlq_stage="intake", dlq_error_type="invalid_request", dlq_error_message="no good",
        dlq_topic=record.topic, dlq_partition=3, dlq_offset=41, dlq_timestamp=1_000_000, dlq_attempts=0,
    )  # fmt: skip
    jsonschema.validate(letter.model_dump(), json_schema("dead_letter"))
    outbox.ack(0)
    assert source.finished == [5]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_record_with_a_dead_letter_and_a_response_is_finished_after_both(order: tuple[int, int]) -> None:
    outbox, source = KeptOutbox(), SampleSource()
    delivery(outbox).reject(*origin_of(SampleRecord(b"{}", b"k")), source, 5, POISON_OF_SOMEBODY)
    (letter_to, _), (response_to, response) = outbox.posted
    assert (letter_to.topic, response_to) == (DEAD_LETTERS, (RESPONSES, partition_for(b"agent-1", 12)))
    value = read(response)
    assert (value["status"], value["error"], value["request_id"], value["agent_id"], value["conversation_id"]) == (
        "rejected",
        {"type": "invalid_request", "message": "no good", "retryable": False},
        "request-1", "agent-1", "chat-1",
    )  # fmt: skip
    assert value["timing"]["total_ms"] == 10_500.0
    assert dict(response.headers)["ce_id"] == b"agent.requests.normal:3:41"
    outbox.ack(order[0])
    assert source.finished == []
    outbox.ack(order[1])
    assert source.finished == [5]


def test_nobody_is_told_where_nobody_can_be() -> None:
    outbox = KeptOutbox()
    delivery(outbox).reject(*origin_of(SampleRecord(None)), SampleSource(), 0, POISON)
    assert [to.topic for to, _ in outbox.posted] == [DEAD_LETTERS]


def test_a_dead_letter_that_its_topic_does_not_take_is_written_without_its_value_and_says_where_that_is() -> None:
    outbox, source = KeptOutbox(), SampleSource()
    delivery(outbox).reject(*origin_of(SampleRecord(b"x" * 1000)), source, 0, POISON)
    on_refused = outbox.posted[0][1].on_refused
    assert on_refused is not None
    on_refused()
    _, second = outbox.posted[1]
    assert second.value is None
    assert second.on_refused is None
    said = DeadLetter.from_headers(second.headers).dlq_error_message
    assert "agent.requests.normal:3:41" in said
    assert "no good" in said
    outbox.ack(1)
    assert source.finished == [0]


def test_fewer_dead_letter_partitions_than_request_partitions_are_enough() -> None:
    outbox = KeptOutbox()
    delivery(outbox, agent_requests_dlq=2).reject(
        *origin_of(SampleRecord(b"{", partition=7)), SampleSource(), 0, POISON
    )
    assert outbox.posted[0][0] == (DEAD_LETTERS, 1)


def test_while_a_topic_has_vanished_its_messages_wait_for_partition_0() -> None:
    outbox = KeptOutbox()
    delivery(outbox, agent_responses=0).respond(pending(), OUTCOMES["ok"])
    assert outbox.posted[0][0] == (RESPONSES, 0)


def test_an_answer_that_a_callers_topic_does_not_take_becomes_a_dead_letter_of_its_request() -> None:
    outbox = KeptOutbox()
    record = SampleRecord(value=b'{"payload": {}}', key=b"k")
    asked = replace(pending(reply_topic="agent.responses.b"), original=Original(record, record.origin))
    delivery(outbox).respond(asked, OUTCOMES["ok"])
    ((to, message),) = outbox.posted
    assert to.topic == "agent.responses.b"
    assert message.on_undeliverable is not None
    message.on_undeliverable("UNKNOWN_TOPIC_OR_PARTITION")
    letter_to, letter = outbox.posted[1]
    assert letter_to.topic == DEAD_LETTERS
    assert (letter.key, letter.value) == (record.key, record.value)
    read_back = DeadLetter.from_headers(letter.headers)
    assert (read_back.dlq_reason, read_back.dlq_stage, read_back.dlq_attempts) == ("undeliverable", "delivery", 2)
    assert "agent.responses.b" in read_back.dlq_error_message
    assert letter.on_undeliverable is None  # a dead letter is never given up


def test_an_answer_to_our_own_topic_is_never_given_up() -> None:
    outbox = KeptOutbox()
    delivery(outbox).respond(pending(), OUTCOMES["ok"])
    assert outbox.posted[0][1].on_undeliverable is None
