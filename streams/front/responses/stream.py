"""Events of an exchange (streams/front/exchange.py) as those of a Responses stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streams.front.api_stream import event_bytes, told_of
from streams.front.exchange import Beat, Event
from streams.front.responses.events import ResponseEvents
from streams.front.stream import beat


class ResponseStream:
    """Of one response. Call it with each event, for the bytes that tell it.

    `opened`: the response without output. `after`: the `sequence_number` of the last event that the client has; -1: none.
    """

    def __init__(self, opened: Mapping[str, Any], after: int = -1) -> None:
        self._id = str(opened["id"])
        self._after = after
        self._events = ResponseEvents(opened)

    def __call__(self, event: Event) -> bytes:
        found = told_of(event, self._events, self._id, self._events.begin() if isinstance(event, Beat) else ())
        told = [each for each in found if each["sequence_number"] > self._after]
        return b"".join(map(event_bytes, told)) + beat(event)
