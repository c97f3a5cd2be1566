"""An upstream's answer that goes on without a reader, where it cannot be streamed any more: fetched until it has ended.

OpenAI streams a response for five minutes and keeps it for longer (openai/openai-python#2828).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import orjson

from streams.providers.formats.wire import Answer, Failure
from streams.providers.http.resume import lost

_GONE: Final = frozenset({404, 410})
_NOT_STREAMED: Final = frozenset({400, 405, 409, 422})
_UNDER_WAY: Final = ("queued", "in_progress")
_EVERY_S: Final = 1.0

Fetch = Callable[[], Awaitable[tuple[int, bytes, Mapping[str, str]]]]


async def not_streamed(
    status: int, fetch: Fetch, decode: Callable[[int, bytes, Mapping[str, str]], Answer | Failure]
) -> Answer | Failure | None:
    """What becomes of it where the stream was refused with `status`; None: that says nothing about the answer, it is a failure as
    of any call. Bounded by its caller's time.
    """
    if status in _GONE:
        return forgotten(status)
    if status not in _NOT_STREAMED:
        return None
    while True:
        status, body, headers = await fetch()
        if status in _GONE or status in _NOT_STREAMED:
            return forgotten(status)
        if not 200 <= status < 300 or _state(body) not in _UNDER_WAY:
            return decode(status, body, headers)
        await asyncio.sleep(_EVERY_S)


def forgotten(status: int) -> Failure:
    return lost("the provider does not know the answer any more that was to be read on", status)


def _state(body: bytes) -> object:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return found.get("status") if isinstance(found, dict) else None
