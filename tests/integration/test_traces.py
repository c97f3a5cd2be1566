"""The header `trace` of answers and dead letters on a real broker: in the right order, with times that fit, told by a command."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from ops.load.traffic import Answer, Traffic
from ops.processes.fleet import Fleet
from streams.trace.header import MOST_BYTES, Trace, decode
from tests.support.cli import headrace
from tests.support.pipeline import Pipeline, request, wait_until

RETRY = 'retry = { dead_letter = true, max_attempts = 3, base_delay = "50ms" }'
LATE_100US = 50_000
"""How much longer than it must a step may take on a busy machine."""


class Sent:
    """A worker, and what came of the requests that were sent to it."""

    def __init__(self, traffic: Traffic, answers: list[Answer]) -> None:
        self._traffic = traffic
        self._answers = answers

    async def send(self, request_id: str, agent: str = "agent", **simulated: Any) -> None:
        await (await self._traffic.send("normal", agent, request(request_id, **simulated)))

    async def send_same(self, request_id: str, agent: str, as_of: str, **simulated: Any) -> None:
        """A request with another one's payload."""
        await (await self._traffic.send("normal", agent, request(as_of, **simulated) | {"request_id": request_id}))

    async def end(self, request_id: str, status: str = "ok") -> Answer:
        """The answer, or with status `dead` the dead letter, once it is there."""

        def found() -> list[Answer]:
            return [each for each in self._answers if (each.request_id, each.status) == (request_id, status)]

        async def is_there() -> bool:
            return bool(found())

        await wait_until(is_there, 60)
        return found()[0]


@asynccontextmanager
async def one_worker(pipeline: Pipeline, **changed: object) -> AsyncIterator[Sent]:
    settings = pipeline.settings(**changed)
    settings.write_text(f"{settings.read_text()}{RETRY}\n")
    answers: list[Answer] = []
    async with Fleet(settings, pipeline.directory) as fleet, pipeline.traffic(on_answer=answers.append) as traffic:
        await fleet.start(1)
        yield Sent(traffic, answers)


def trace_of(answer: Answer) -> Trace:
    raw = dict(answer.headers)["dlq_trace" if answer.status == "dead" else "trace"]
    assert len(raw) <= MOST_BYTES
    return decode(raw)


def assert_times_fit(trace: Trace) -> None:
    """Each step is behind the one before it, and all are within the whole."""
    moments = [trace.read_100us, trace.passed_on_100us, trace.queued_100us, trace.dispatched_100us]
    tries = [*trace.first, *trace.last]
    steps = [each for each in moments if each is not None] + [each.began_100us for each in tries]
    assert steps == sorted(steps)
    for before, after in itertools.pairwise(tries):
        assert before.began_100us + before.took_100us <= after.began_100us + 10
    assert steps[-1] + (tries[-1].took_100us if tries else 0) <= trace.total_100us + 10
    assert 0 < trace.total_100us < 20 * LATE_100US


async def told(pipeline: Pipeline, request_id: str) -> Mapping[str, Any]:
    """What `headrace trace` says."""
    called = await headrace("trace", request_id, "--json", settings=pipeline.directory / "headrace.toml")
    assert called.code == 0, called.err
    found: Mapping[str, Any] = orjson.loads(called.out)
    return found


def assert_in_order(found: Mapping[str, Any], *words: str) -> None:
    """The steps with these words, each at or behind the moment of the one before it."""
    steps = [(at_ms, text) for at_ms, text in found["steps"]]
    assert [at_ms for at_ms, _ in steps] == sorted(at_ms for at_ms, _ in steps)
    texts = [text for _, text in steps]
    places = [next((n for n, text in enumerate(texts) if word in text), None) for word in words]
    assert None not in places, (words, texts)
    assert places == sorted(place for place in places if place is not None), texts


@pytest.mark.timeout(180)
@pytest.mark.parametrize("status", [429, 500])
async def test_a_request_that_was_refused_twice_tells_each_attempt_and_what_was_waited_for_between(
    pipeline: Pipeline, status: int
) -> None:
    async with one_worker(pipeline) as sent:
        await sent.send("refused", status=status, fail_first=2)
        trace = trace_of(await sent.end("refused"))
        assert (trace.cache, trace.attempts, trace.last) == ("none", 3, [])
        assert [each.status for each in trace.first] == [status, status, 0]
        assert trace.first[2].outcome == "ok" != trace.first[1].outcome == trace.first[0].outcome
        assert {each.endpoint for each in trace.first} == {f"sim ({pipeline.simulator.url.split('/')[2]})"}
        assert_times_fit(trace)
        between = trace.first[2].began_100us - trace.first[0].began_100us - sum(e.took_100us for e in trace.first[:2])
        assert 0 < sum(each.took_100us for each in trace.call_waits) <= between + 20
        found = await told(pipeline, "refused")
        assert_in_order(
            found, "read by a worker", "not in the cache", "dispatched", f"HTTP {status}", ": ok", "answered"
        )
        assert found["trace"]["attempts"] == 3
        assert sum("attempt at" in text for _, text in found["steps"]) == 3


@pytest.mark.timeout(180)
async def test_requests_tell_their_limit_whom_they_joined_and_why_they_died_and_hits_tell_nothing(
    pipeline: Pipeline,
) -> None:
    async with one_worker(pipeline, concurrency__per_agent=1) as sent:
        # The second may not go before the first has ended: its agent may have one call.
        await sent.send("goes", "one", latency_ms=2_000)
        await sent.send("waits", "one")
        # Two agents are two partitions, and nothing says which of them is read first.
        await sent.send("two", "two", latency_ms=2_000)
        await sent.send_same("three", "three", "two", latency_ms=2_000)

        waits = trace_of(await sent.end("waits"))
        assert [(each.reason, each.of) for each in waits.waits[:1]] == [("agent_calls", "")]
        assert 3_000 < waits.waits[0].took_100us < 20_000 + LATE_100US
        assert waits.dispatched_100us is not None
        assert sum(each.took_100us for each in waits.waits) <= waits.dispatched_100us
        assert_times_fit(waits)
        found = await told(pipeline, "waits")
        assert_in_order(found, "waits for dispatch", "its agent has as many calls", "dispatched", ": ok", "answered")

        ended = {each: trace_of(await sent.end(each)) for each in ("two", "three")}
        (joined, joins), (_, leads) = sorted(ended.items(), key=lambda each: each[1].cache != "joined")
        assert (joins.cache, joins.attempts, joins.queued_100us, list(joins.first)) == ("joined", 0, None, [])
        assert (leads.cache, leads.attempts) == ("none", 1)
        assert 0 < joins.total_100us < 20_000 + LATE_100US
        assert_in_order(await told(pipeline, joined), "read by", "not in the cache", "with another request's call")

        await sent.send_same("hits", "three", "two", latency_ms=2_000)
        hit = await sent.end("hits")
        assert orjson.loads(hit.value or b"")["cache"] == "memory"
        assert "trace" not in dict(hit.headers)
        assert (await told(pipeline, "hits"))["trace"] is None

        await sent.send("dies", status=500, fail_first=9)
        answered, letter = await sent.end("dies", "error"), await sent.end("dies", "dead")
        assert dict(letter.headers)["dlq_trace"] == dict(answered.headers)["trace"]
        dead = trace_of(letter)
        assert [each.status for each in dead.first] == [500, 500, 500]
        assert_times_fit(dead)
        assert_in_order(await told(pipeline, "dies"), "dispatched", "HTTP 500", "answered")


@pytest.mark.timeout(120)
async def test_hits_have_traces_too_where_settings_want_all(pipeline: Pipeline) -> None:
    async with one_worker(pipeline, trace__answers="all") as sent:
        await sent.send("first")
        await sent.end("first")
        await sent.send_same("hits", "agent", "first")
        trace = trace_of(await sent.end("hits"))
        assert (trace.cache, trace.attempts, trace.queued_100us) == ("memory", 0, None)
        assert_times_fit(trace)
        assert_in_order(await told(pipeline, "hits"), "read by a worker", "answered from the cache (memory)")


@pytest.mark.timeout(120)
async def test_no_answer_has_a_trace_where_settings_want_none(pipeline: Pipeline) -> None:
    async with one_worker(pipeline, trace__answers="none") as sent:
        await sent.send("dies", status=500, fail_first=9)
        letter = await sent.end("dies", "dead")
        assert not {"trace", "dlq_trace"} & {name for name, _ in letter.headers}
        assert "trace" not in dict((await sent.end("dies", "error")).headers)
