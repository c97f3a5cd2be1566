"""What the fleet's errors are over HTTP."""

from __future__ import annotations

from schemas.response import WireError
from streams.front.problems import of_answer


def test_a_wait_that_would_be_too_long_is_told_as_429_with_when_to_come_again() -> None:
    """In the words of streams/flow/refusals.py."""
    problem = of_answer(WireError("deadline", "it would wait 12.3 s, and its time ends before", True))
    assert problem.status == 429
    assert problem.headers() == {"x-should-retry": "true", "retry-after-ms": "12300", "retry-after": "12"}


def test_a_request_whose_time_ended_while_it_waited_is_504() -> None:
    assert of_answer(WireError("deadline", "its time ended before it was dispatched", True)).status == 504


def test_a_full_queue_is_429_with_when_to_come_again() -> None:
    problem = of_answer(WireError("queue_full", "too many normal requests wait", True))
    assert problem.status == 429
    assert {"retry-after", "retry-after-ms"} <= problem.headers().keys()
