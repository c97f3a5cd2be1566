"""Spans of a request: the right parents, the names of the conventions, bounded, and nothing of what was asked or answered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes, messaging_attributes
from opentelemetry.semconv.attributes import error_attributes, http_attributes, server_attributes

from schemas.response import Usage, WireError
from streams.flow.merge import merge
from streams.otel import names, wire
from streams.otel.context import Contexts
from streams.otel.names import OLD, Semconv, written
from streams.otel.spans import MOST_CHARS, ModelNames, Span, spans_of
from streams.otel.teller import Rate, Teller
from streams.pipeline import Outcome, PendingRequest
from streams.trace.marks import CallMarks, Marks, Try
from tests.support.collector import spans_of as decoded
from tests.support.requests import pending
from tests.unit.topics.test_trace_context import GOOD, SPAN, TRACE

NOW = 1010.0


class Kept:
    """An exporter that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def put(self, told: Any) -> None:
        self.told.append(told)

    def room_for(self, payload: bytes | None) -> bytes:
        return payload or b""


def telling(share: float = 1.0, slow_s: float = 3600.0, rate: int = 1000, salt: int = 7) -> tuple[Teller, Kept]:
    kept = Kept()
    return Teller(Contexts(share, salt, exports=True), kept, slow_s, Rate(rate, 0.0)), kept  # type: ignore[arg-type]


def answered(request: PendingRequest, **changed: Any) -> Outcome:
    """A good answer after one failed attempt."""
    marks = CallMarks(waits={("backoff", ""): 0.1})
    marks.tried(Try(1003.0, 1.0, "sim (127.0.0.1:80)", "provider_error", 503))
    marks.tried(Try(1004.5, 2.0, "sim (127.0.0.1:81)", "ok"))
    request.read_at = 1001.0
    request.marks = Marks(1001.5, 1001.5, {("provider_limit", "tokens"): 0.9, ("turn", ""): 0.2})
    request.dispatched_at = 1003.0
    payload = {
        "id": "c-1",
        "model": "small-2",
        "choices": [{"finish_reason": "stop", "message": {"content": "SECRET"}}],
    }
    outcome = Outcome(
        "ok", orjson.dumps(payload), usage=Usage(5, 7, 12), provider="sim", model="small", attempts=2, call=marks
    )
    return replace(outcome, **changed)


def told(request: PendingRequest, outcome: Outcome, semconv: Semconv = "new") -> list[Span]:
    teller, kept = telling()
    teller.ended(request, outcome, NOW)
    return spans_of(kept.told[0], ModelNames(), semconv, "group")


def test_a_request_is_a_span_with_its_wait_and_its_attempts_below_it() -> None:
    request = pending(traceparent=GOOD)
    own, queue, failed, good = told(request, answered(request))
    assert f"{own.trace_id:032x} {own.parent_id:016x}" == f"{TRACE} {SPAN}"
    assert {each.parent_id for each in (queue, failed, good)} == {own.span_id}
    assert len({each.span_id for each in (own, queue, failed, good)}) == 4
    assert [(each.name, each.kind, each.began_at, each.ended_at) for each in (own, queue, failed, good)] == [
        ("process agent.requests.normal", "consumer", 1001.0, 1010.0),
        ("queue", "internal", 1001.5, 1003.0),
        ("chat small", "client", 1003.0, 1004.0),
        ("chat small", "client", 1004.5, 1006.5),
    ]
    assert (own.error, failed.error, good.error) == ("", "provider_error", "")
    assert queue.attributes["headrace.wait.reason"] == "provider_limit: tokens"
    assert queue.attributes["headrace.wait.turn_ms"] == 200.0
    assert own.attributes["headrace.wait.backoff_ms"] == 100.0
    assert failed.attributes["http.response.status_code"] == 503
    assert (good.attributes["server.address"], good.attributes["server.port"]) == ("127.0.0.1", 81)
    assert good.attributes["gen_ai.response.model"] == "small-2"
    assert good.attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert (good.attributes["gen_ai.usage.input_tokens"], good.attributes["gen_ai.usage.output_tokens"]) == (5, 7)
    assert "gen_ai.usage.input_tokens" not in failed.attributes


def test_nothing_of_what_was_asked_or_answered_or_of_an_errors_words_is_told() -> None:
    request = pending(payload={"messages": [{"role": "user", "content": "SECRET"}], "user": "SECRET"})
    spans = told(request, answered(request))
    request = pending()
    spans += told(request, answered(request, status="error", error=WireError("provider_error", "SECRET", True)))
    assert spans[0].attributes["headrace.status"] == "ok"
    assert b"SECRET" not in wire.encode(spans, {"service.name": "x"}, "1")


def test_a_call_that_went_out_under_a_span_is_told_as_that_span() -> None:
    request, contexts = pending(traceparent=GOOD), Contexts(0.0, 7, exports=True)
    call = contexts.call(request)
    assert call is not None
    marks = CallMarks(context=call)
    headers = dict(marks.begin())
    marks.tried(Try(1003.0, 1.0, "sim (a:1)", "ok"))
    outcome = answered(request, call=marks)
    own, _, attempt = told(request, outcome)
    assert headers == {"traceparent": f"00-{TRACE}-{attempt.span_id:016x}-01"}
    assert (attempt.parent_id, attempt.links) == (own.span_id, ())


def test_requests_that_shared_a_call_each_keep_their_own_parent_and_link_to_the_span_that_went_out() -> None:
    """open-telemetry/opentelemetry-java-instrumentation#3529 and #14166, DataDog/dd-trace-py#18667: consumers of batches hang
    all records below the first one's parent, or below none.
    """
    shared = {"input": ["a"]}
    parents = [GOOD, b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01", GOOD[:36] + b"3" * 16 + b"-01"]
    group = [pending(traceparent=parent, payload=shared) for parent in parents]
    call = Contexts(0.0, 7, exports=True).call(merge(group))
    assert call is not None
    marks = CallMarks(context=call)
    marks.begin()
    marks.tried(Try(1003.0, 1.0, "sim (a:1)", "ok"))
    spans = [told(request, answered(request, call=marks)) for request in group]
    for parent, (own, _, attempt) in zip(parents, spans, strict=True):
        assert f"{own.trace_id:032x}-{own.parent_id:016x}".encode() == parent[3:52]
        assert (attempt.trace_id, attempt.parent_id) == (own.trace_id, own.span_id)
    sent = spans[0][2]
    assert sent.links == ()
    assert [[link[:2] for link in each[2].links] for each in spans[1:]] == [[(sent.trace_id, sent.span_id)]] * 2
    assert len({each[2].span_id for each in spans}) == 3


def test_one_that_joined_another_ones_call_links_to_it_and_tells_it_as_an_event() -> None:
    leader, joiner = pending(traceparent=GOOD), pending()
    joiner.marks = Marks(1002.0)
    own_of_leader = told(leader, answered(leader))[0]
    own, queue = told(joiner, Outcome("ok", b"{}", cache="joined", of=leader))
    assert (queue.began_at, queue.ended_at, queue.attributes["headrace.wait.reason"]) == (1002.0, NOW, "joined")
    assert [link[:2] for link in own.links] == [(own_of_leader.trace_id, own_of_leader.span_id)]
    assert [event.name for event in own.events] == ["headrace.cache.joined"]
    assert own.trace_id != own_of_leader.trace_id


@pytest.mark.parametrize("semconv", ["new", "old", "both"])
def test_older_names_stand_in_place_of_todays_or_beside_them(semconv: Semconv) -> None:
    request = pending()
    own, *_, good = told(request, answered(request), semconv)
    new, old = semconv != "old", semconv != "new"
    for attributes, today, before in (
        (good.attributes, "gen_ai.provider.name", "gen_ai.system"),
        (good.attributes, "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
        (own.attributes, "messaging.operation.type", "messaging.operation"),
        (own.attributes, "messaging.kafka.offset", "messaging.kafka.message.offset"),
    ):
        assert (today in attributes, before in attributes) == (new, old)
    if old:
        assert own.attributes["messaging.kafka.destination.partition"] == 0  # a number, as it was
    assert good.attributes["gen_ai.operation.name"] == "chat"


def test_every_name_is_the_conventions_or_our_own() -> None:
    theirs = {
        value
        for module in (gen_ai_attributes, messaging_attributes, error_attributes, http_attributes, server_attributes)
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str)
    }
    ours = [value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)]
    assert len(ours) > 30
    assert [name for name in ours if not name.startswith("headrace.") and name not in theirs] == []
    assert set(OLD) <= set(ours)
    assert written(dict.fromkeys(ours, "1"), "both").keys() >= {old.name for old in OLD.values()}


@given(
    st.text(max_size=40) | st.text("x", min_size=1000, max_size=3000),
    st.binary(max_size=200)
    | st.sampled_from([b'{"choices": 5}', b'{"choices": [[], {"finish_reason": 1}]}', b"[" * 500]),
)
def test_spans_are_bounded_and_can_be_written_whatever_callers_and_providers_say(text: str, payload: bytes) -> None:
    """open-telemetry/opentelemetry-demo#2007: a collector's metrics are made of span names, and a caller's text is no name."""
    request = pending(agent=text or "a", model=text[:256] or "m", request_id=text or "r")
    outcome = answered(request, payload=payload, model=text or "m")
    spans = decoded(wire.encode(told(request, outcome), {"service.name": "x"}, "1"))
    assert len(spans) == 4
    for span in spans:
        assert len(span.name) <= MOST_CHARS
        assert all(len(value) <= MOST_CHARS for value in span.attributes.values() if isinstance(value, str))


def test_a_caller_who_makes_models_up_makes_no_more_than_a_hundred_names_of_spans() -> None:
    models = ModelNames()
    found = {models.named("chat", f"made-up-{number}") for number in range(10_000)}
    assert len(found) == 101
    assert "chat" in found
    assert models.named("chat", "made-up-3") == "chat made-up-3"


def test_what_the_wire_says_is_what_the_span_was() -> None:
    request = pending(traceparent=GOOD)
    spans = told(request, answered(request))
    found = decoded(wire.encode(spans, {"service.name": "headrace-worker"}, "1"))
    assert [(each.trace, each.parent) for each in found[:1]] == [(TRACE, SPAN)]
    assert [each.span for each in found] == [f"{each.span_id:016x}" for each in spans]
    assert [each.attributes for each in found] == [each.attributes for each in spans]
    assert [each.kind for each in found] == [each.kind for each in spans]
    assert [each.failed for each in found] == [False, False, True, False]
    assert {each.message for each in found} == {""}
    assert abs(found[0].began_ns - 1_001_000_000_000) < 1000


def test_the_page_lists_every_name() -> None:
    page = (Path(__file__).parents[3] / "docs" / "opentelemetry.md").read_text()
    ours = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}
    assert {name for name in ours | {old.name for old in OLD.values()} if f"`{name}`" not in page} == set()
