"""What is told while somebody looks: that something changed, as server-sent events. Ends when the process does."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from ops.ui.responses import set_headers
from ops.ui.room import ROOM, Room

_NOT_OFTENER_S: Final = 2.0
_ALIVE_EVERY_S: Final = 15.0
_LONGEST_S: Final = 3600.0
"""Then the browser asks again by itself: who may see what is looked at anew."""
_MOST: Final = 500


async def events(request: web.Request) -> web.StreamResponse:
    """GET /events: `changed`, at most every 2 s, when there is something new to see."""
    room = request.app[ROOM]
    stream = await open_stream(request)
    seen = _version(room)
    loop = asyncio.get_running_loop()
    until, told_at = loop.time() + _LONGEST_S, loop.time()
    while not room.stopping.is_set() and loop.time() < until:
        await sleep_unless(room.stopping, _NOT_OFTENER_S)
        version = _version(room)
        if version != seen:
            seen, told_at = version, loop.time()
            await stream.write(b"event: changed\ndata: -\n\n")
        elif loop.time() > told_at + _ALIVE_EVERY_S:
            told_at = loop.time()
            await stream.write(b": alive\n\n")
    return stream


async def open_stream(request: web.Request) -> web.StreamResponse:
    """A stream of events that has begun. 503 where too many are open."""
    watching = request.app[WATCHING]
    if len(watching) >= _MOST:
        raise web.HTTPServiceUnavailable(text="too many watch already\n")
    task = asyncio.current_task()
    assert task is not None
    watching.add(task)
    task.add_done_callback(watching.discard)
    stream = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
    set_headers(stream)
    await stream.prepare(request)
    await stream.write(b"retry: 3000\n\n")
    return stream


async def sleep_unless(stopping: asyncio.Event, seconds: float) -> None:
    """Sleep, but not longer than the process lives."""
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return


def _version(room: Room) -> int:
    return room.reader.version + room.fleet.version + room.admin.version


WATCHING: Final = web.AppKey("watching", set[asyncio.Task[object]])
