"""Events of an exchange (streams/front/exchange.py) as those of a Messages stream."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import orjson

from streams.front.anthropic.events import PING, MessageEvents, event_bytes
from streams.front.exchange import Beat, Broken, Delta, Event, Faulted, Restarted, StillWaits, Whole
from streams.front.problems import Problem, problem_of
from streams.front.stream import beat, broken, faulty, still_waits

_RESTARTED: Final = Problem(
    502,
    "server_error",
    "stream_restarted",
    "the answer begins again, which this API cannot say: ask again",
    retryable=True,
)


class MessageStream:
    """Of one message. Call it with each event, for the bytes that tell it."""

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self._events = MessageEvents(request_id)

    def __call__(self, event: Event) -> bytes:
        return beat(event) + b"".join(map(event_bytes, self._told(event)))

    def _told(self, event: Event) -> Iterable[dict[str, object]]:
        events = self._events
        match event:
            case Delta(chunks):
                return [told for chunk in chunks for told in events.take(orjson.loads(chunk))]
            case Beat():
                return [PING]
            case Restarted():
                return events.fail(_RESTARTED)
            case Whole(response) if response.error is None and response.payload is not None:
                return events.end(response.payload)
            case Whole(response):
                return events.fail(problem_of(response))
            case Broken():
                return events.fail(broken(self._request_id))
            case StillWaits():
                return events.fail(still_waits(self._request_id))
            case Faulted():
                return events.fail(faulty(self._request_id))
