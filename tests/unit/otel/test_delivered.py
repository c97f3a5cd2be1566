"""Spans beside the answers: one end a request, whatever becomes of its answer, and no answer lost for its spans."""

from __future__ import annotations

import pytest

from streams.metrics import definitions as metrics
from streams.otel.teller import Teller
from tests.support.requests import SampleRecord, SampleSource, pending
from tests.unit.delivery.test_delivery import OUTCOMES, POISON_OF_SOMEBODY, KeptOutbox, delivery, origin_of
from tests.unit.otel.test_spans import Kept, answered, telling
from tests.unit.topics.test_trace_context import GOOD


class Rig:
    """A delivery that tells, with so large a share."""

    def __init__(self, share: float = 1.0) -> None:
        teller, self.kept = telling(share)
        self.outbox = KeptOutbox()
        self.delivery = delivery(self.outbox)
        self.delivery._ends = self.teller = teller

    def headers(self, number: int = -1) -> dict[str, bytes | None]:
        return dict(self.outbox.posted[number][1].headers)


def test_an_answer_bears_its_requests_context_and_else_that_under_which_it_is_told() -> None:
    rig = Rig()
    request = pending(traceparent=GOOD)
    request.tracestate = b"a=1"
    rig.delivery.respond(request, answered(request))
    assert (rig.headers()["traceparent"], rig.headers()["tracestate"]) == (GOOD, b"a=1")
    rig.delivery.respond(other := pending(), answered(other))
    context = rig.kept.told[1].context
    assert rig.headers()["traceparent"] == f"00-{context.trace_id:032x}-{context.span_id:016x}-01".encode()
    assert "tracestate" not in rig.headers()
    untold = Rig(share=0.0)
    untold.delivery.respond(pending(), OUTCOMES["ok"])
    assert "traceparent" not in untold.headers()


def test_a_rejected_record_has_its_context_in_the_answer() -> None:
    rig = Rig(share=0.0)
    record, origin = origin_of(SampleRecord(b"{", headers=[("traceparent", GOOD), ("tracestate", b"a=1")]))
    rig.delivery.reject(record, origin, SampleSource(), 0, POISON_OF_SOMEBODY)
    assert (rig.headers()["traceparent"], rig.headers()["tracestate"]) == (GOOD, b"a=1")
    assert [each.status for each in rig.kept.told] == ["rejected"]


@pytest.mark.parametrize(("share", "told"), [(1.0, ["ok"]), (0.0, ["error"])])
def test_an_answer_that_is_too_large_for_its_topic_is_one_end(share: float, told: list[str]) -> None:
    rig = Rig(share)
    request = pending(reply_topic="agent.responses.small")
    rig.delivery.respond(request, answered(request, payload=b'"%s"' % (b"x" * 20_000)))
    on_refused = rig.outbox.posted[0][1].on_refused
    assert on_refused is not None
    on_refused()
    assert [each.status for each in rig.kept.told] == told


def test_a_fault_in_telling_costs_the_spans_and_not_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(Kept, "put", broken)
    rig, before = Rig(), metrics.LOOP_FAULTS.labels("spans")._value.get()
    rig.delivery.respond(pending(), OUTCOMES["ok"])
    rig.delivery.reject(*origin_of(SampleRecord(b"{")), SampleSource(), 0, POISON_OF_SOMEBODY)
    assert [to.topic for to, _ in rig.outbox.posted] == ["agent.responses", "agent.requests.dlq", "agent.responses"]
    assert metrics.LOOP_FAULTS.labels("spans")._value.get() - before == 2
    assert isinstance(rig.teller, Teller)
