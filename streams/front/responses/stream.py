"""Events of an exchange (streams/front/exchange.py) as those of a Responses stream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from streams.front.anthropic.events import event_bytes
from streams.front.exchange import Beat, Broken, Delta, Event, Faulted, Restarted, StillWaits, Whole
from streams.front.problems import Problem, problem_of
from streams.front.responses.events import ResponseEvents
from streams.front.stream import beat, broken, faulty, still_waits

_RESTARTED: Final = Problem(
    502,
    "server_error",
    "stream_restarted",
    "the answer begins again, which this API cannot say: ask again",
    retryable=True,
)


class ResponseStream:
    """Of one response. Call it with each event, for the bytes that tell it.

    `opened`: the response without output. `after`: the `sequence_number` of the last event that the client has; -1: none.
    """

    def __init__(self, opened: Mapping[str, Any], after: int = -1) -> None:
        self._id = str(opened["id"])
        self._after = after
        self._events = ResponseEvents(opened)

    def __call__(self, event: Event) -> bytes:
        told = [each for each in self._told(event) if each["sequence_number"] > self._after]
        return b"".join(map(event_bytes, told)) + beat(event)

    def _told(self, event: Event) -> Iterable[dict[str, Any]]:
        events = self._events
        match event:
            case Delta(chunks):
                return [told for chunk in chunks for told in events.take(orjson.loads(chunk))]
            case Beat():
                return events.begin()
            case Restarted():
                return events.fail(_RESTARTED)
            case Whole(response) if response.error is None and response.payload is not None:
                return events.end(response.payload)
            case Whole(response):
                return events.fail(problem_of(response))
            case Broken():
                return events.fail(broken(self._id))
            case StillWaits():
                return events.fail(still_waits(self._id))
            case Faulted():
                return events.fail(faulty(self._id))
