"""Events of an exchange (streams/front/exchange.py) as those of an API that tells chunks in its own way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import orjson

from streams.front.exchange import Beat, Broken, Delta, Event, Faulted, Restarted, StillWaits, Whole
from streams.front.problems import Problem, problem_of
from streams.front.stream import broken, faulty, still_waits

Told = dict[str, Any]
"""An event of an API; its `type` is its name."""

_RESTARTED: Final = Problem(
    502,
    "server_error",
    "stream_restarted",
    "the answer begins again, which this API cannot say: ask again",
    retryable=True,
)


class ApiEvents(Protocol):
    """Makes the events of an API, of chunks one by one. After the terminal one nothing comes any more."""

    def take(self, chunk: Mapping[str, Any]) -> list[Told]:
        """The events of one `chat.completion.chunk`."""
        ...

    def end(self, completion: Mapping[str, Any] | None = None) -> list[Told]:
        """The events of a stream that has ended. The whole answer, where it is known, says more about its end than its chunks."""
        ...

    def fail(self, problem: Problem) -> list[Told]:
        """The events of a stream that has no end."""
        ...


def told_of(event: Event, events: ApiEvents, request_id: str, on_beat: Sequence[Told]) -> Sequence[Told]:
    """What an API tells of an event. `on_beat`: what it says when nothing has come for a while."""
    match event:
        case Delta(chunks):
            return [told for chunk in chunks for told in events.take(orjson.loads(chunk))]
        case Beat():
            return on_beat
        case Restarted():
            return events.fail(_RESTARTED)
        case Whole(response) if response.error is None and response.payload is not None:
            return events.end(response.payload)
        case Whole(response):
            return events.fail(problem_of(response))
        case Broken():
            return events.fail(broken(request_id))
        case StillWaits():
            return events.fail(still_waits(request_id))
        case Faulted():
            return events.fail(faulty(request_id))


def event_bytes(event: Told) -> bytes:
    """One server-sent event; its name is the data's `type`."""
    name: str = event["type"]
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(event) + b"\n\n"
