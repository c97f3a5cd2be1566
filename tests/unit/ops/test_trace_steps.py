"""A trace as steps: what was waited for stands where there was a pause for it."""

from __future__ import annotations

import pytest

from ops.admin.trace import lines, steps, told_by
from streams.trace.header import Trace, Tried, Waited
from tests.support.requests import SampleRecord

FIRST = Tried("sim (host)", "provider_error", 500, 1_000, 500)
SECOND = Tried("sim (host)", "ok", 0, 3_500, 500)


def trace(*waits: Waited, attempts: tuple[Tried, ...] = (FIRST, SECOND)) -> Trace:
    return Trace("none", 4_100, 1, 2, 3, 100, (), waits, len(attempts), attempts)


@pytest.mark.parametrize(
    ("wait", "at_ms"),
    [
        pytest.param(Waited("budget", "", 850), 10.0, id="before the first attempt"),
        pytest.param(Waited("backoff", "", 1_990), 150.0, id="between two attempts"),
        pytest.param(Waited("backoff", "", 2_030), 150.0, id="rounded up"),
        pytest.param(Waited("provider_limit", "tokens", 9_000), 150.0, id="in several pauses, told at the first"),
    ],
)
def test_a_wait_in_a_call_is_told_where_it_may_have_been(wait: Waited, at_ms: float) -> None:
    assert [at for at, text in steps(trace(wait)) if text.startswith("waited")] == [at_ms]


def test_a_call_that_never_came_to_an_attempt_tells_what_it_waited_for() -> None:
    told = steps(trace(Waited("budget", "", 4_000), attempts=()))
    assert [(at, text.split(":")[0]) for at, text in told][-2:] == [(10.0, "waited 0.400 s"), (410.0, "answered")]
    assert "a budget is asked" in told[-2][1]


def test_steps_are_in_the_order_of_time() -> None:
    told = steps(trace(Waited("backoff", "", 1_900), Waited("budget", "", 700)))
    assert [at for at, _ in told] == sorted(at for at, _ in told)
    assert [text.split(" ")[0] for _, text in told][-5:] == ["waited", "attempt", "waited", "attempt", "answered"]


@pytest.mark.parametrize("given", ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "broken"])
def test_the_trace_of_opentelemetry_that_it_belongs_to_is_told(given: str) -> None:
    record = SampleRecord(b'{"status": "ok"}', headers=[("request_id", b"r"), ("traceparent", given.encode())])
    found = told_by(record, "r", is_dead=False)
    assert found is not None
    assert found["traceparent"] == (None if given == "broken" else given)
    assert (f"traceparent {given}" in lines(found)) == (given != "broken")
