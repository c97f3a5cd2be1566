"""When the time of a request is over, told by its front where no worker tells."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import orjson
import pytest

from schemas.response import Response
from streams.front.deadlines import GRACE_S, Deadline, Deadlines, over
from streams.front.inbound import read_inbound
from streams.front.problems import problem_of
from streams.front.waiting import Waiting
from streams.front.worker_directory import KEPT_S
from streams.front.workers import Workers
from tests.unit.metrics.raw_samples import Raw

BODY = orjson.dumps({"model": "small", "messages": [{"role": "user", "content": "?"}]})
LIMITS = Deadlines({"high": 10.0, "normal": 30.0, "low": 60.0}, calls_s=120.0, most_s=3600.0)


@pytest.mark.parametrize(
    ("headers", "unread_s", "over_s"),
    [
        ({}, 30.0, 150.0),
        ({"x-headrace-class": "high"}, 10.0, 130.0),
        ({"x-headrace-timeout": "2"}, 2.0, 2.0),
        ({"x-headrace-timeout": "900", "x-headrace-class": "low"}, 900.0, 900.0),
        ({"x-headrace-timeout": "9000"}, 3600.0, 3600.0),
    ],
)
def test_an_own_limit_is_total_and_else_a_class_waits_and_its_calls_have_their_time(
    headers: dict[str, str], unread_s: float, over_s: float
) -> None:
    inbound = read_inbound("chat.completions", headers, BODY)
    assert LIMITS.of(inbound) == Deadline(unread_s + GRACE_S, over_s + GRACE_S)


def test_what_a_front_says_is_what_a_worker_would_say() -> None:
    response = Response.model_validate_json(over("chatcmpl-1", "a", 2.5, datetime.now(UTC)))
    assert (response.status, response.request_id, response.timing.queue_ms) == ("expired", "chatcmpl-1", 2500)
    problem = problem_of(response)
    assert (problem.status, problem.code, problem.retryable) == (504, "deadline", True)


async def test_a_request_whose_time_is_over_is_answered_once_and_a_late_answer_changes_nothing() -> None:
    waiting = Waiting(10)
    answer = waiting.expect("r")
    waiting.published("r", b"t:0:7")
    waiting.ring("r", 0.0, lambda: waiting.expire("r", b"over"))
    assert await answer == b"over"
    assert not waiting.take("r", b"t:0:7", b"late")
    waiting.expire("nobody", b"over")


@pytest.mark.parametrize("how", ["answered", "gone"])
async def test_nothing_rings_for_what_is_answered_or_not_waited_for(how: str) -> None:
    waiting, rung = Waiting(10), asyncio.Event()
    waiting.expect("r")
    waiting.published("r", b"t:0:7")
    waiting.ring("r", 0.01, rung.set)
    if how == "answered":
        waiting.take("r", b"t:0:7", b"yes")
    else:
        waiting.forget("r")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(rung.wait(), 0.05)
    waiting.ring("r", 0.0, rung.set)
    await asyncio.sleep(0.01)
    assert not rung.is_set()


def test_workers_live_until_none_has_told_of_itself_for_a_minute() -> None:
    workers = Workers({}, "metrics.samples")
    assert workers.live(1e12), "nobody knows of a fleet that makes no samples"
    workers._note(b"no sample")
    assert workers.live(1e12)
    workers._note(Raw("w", 4_000_000_000_000, {}, 0).sample().to_json())
    heard = time.monotonic()
    assert workers.live(heard + KEPT_S - 1), "whatever the worker's own clock says"
    assert not workers.live(heard + KEPT_S)
