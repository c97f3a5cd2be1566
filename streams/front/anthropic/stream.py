"""Events of an exchange (streams/front/exchange.py) as those of a Messages stream."""

from __future__ import annotations

from streams.front.anthropic.events import PING, MessageEvents
from streams.front.api_stream import event_bytes, told_of
from streams.front.exchange import Event
from streams.front.stream import beat


class MessageStream:
    """Of one message. Call it with each event, for the bytes that tell it."""

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self._events = MessageEvents(request_id)

    def __call__(self, event: Event) -> bytes:
        return beat(event) + b"".join(map(event_bytes, told_of(event, self._events, self._request_id, [PING])))
