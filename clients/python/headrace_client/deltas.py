"""Deltas from the log to the streams that they belong to, in bounded memory.

A client reads one partition of `agent.deltas`, its lane, and names it in its requests: with 16 partitions that is a sixteenth
of what all streams of the fleet tell. It begins to read with the first stream.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from headrace_client.connection import end
from headrace_client.errors import Unreachable
from headrace_client.follower import Headers
from headrace_client.reader import TopicReader

_MOST_BYTES: Final = 256 * 1024


class Inbox:
    """Deltas of one stream that have come and are not told yet.

    Of those that a reader is too slow for, what is beyond 256 KB is dropped: the answer fills it.
    """

    def __init__(self) -> None:
        self._kept: deque[tuple[str, Headers, bytes]] = deque()
        self._size = 0
        self._event_id: str | None = None
        self.came = asyncio.Event()

    def belong_to(self, event_id: str) -> None:
        """The broker has the request: what names another record is a stranger's."""
        self._event_id = event_id
        self._kept = deque(each for each in self._kept if each[0] == event_id)
        self._size = sum(len(value) for _, _, value in self._kept)

    def put(self, event_id: str, headers: Headers, value: bytes) -> None:
        if event_id != (self._event_id or event_id) or self._size + len(value) > _MOST_BYTES:
            return
        self._kept.append((event_id, headers, value))
        self._size += len(value)
        self.came.set()

    def pop(self) -> tuple[Headers, bytes] | None:
        """The next one; None where there is none now."""
        if not self._kept:
            return None
        _, headers, value = self._kept.popleft()
        self._size -= len(value)
        return headers, value


class Deltas:
    """The deltas of a client's streams.

    Args:
        on_end: called when they are not read any more, though nobody has stopped it.
    """

    def __init__(self, topic: str, options: Mapping[str, Any], on_end: Callable[[asyncio.Task[None]], None]) -> None:
        self._topic = topic
        self._options = options
        self._on_end = on_end
        self._inboxes: dict[str, set[Inbox]] = {}
        self._starting = asyncio.Lock()
        self._reader: TopicReader | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self, lane: int, within_s: float) -> None:
        """Begin to read a lane, if nobody has. Then nothing that is written from now on is missed.

        Raises Unreachable, TopicMissing.
        """
        async with self._starting:
            if self._reading is not None:
                return
            reader = TopicReader(self._topic, self._options, lane=lane)
            try:
                async with asyncio.timeout(within_s):
                    await reader.start()
            except TimeoutError as error:
                raise Unreachable(f"{self._topic} cannot be read within {within_s:g} s") from error
            self._reader = reader
            self._reading = asyncio.create_task(reader.run(self._read), name="headrace-client-deltas")
            self._reading.add_done_callback(self._on_end)

    async def stop(self) -> None:
        if self._reading is not None:
            await end(self._reading)
        if self._reader is not None:
            await self._reader.stop()

    @contextmanager
    def inbox(self, request_id: str) -> Iterator[Inbox]:
        """Where the deltas of a request come, while it is open."""
        inbox = Inbox()
        inboxes = self._inboxes.setdefault(request_id, set())
        inboxes.add(inbox)
        try:
            yield inbox
        finally:
            inboxes.discard(inbox)
            if not inboxes:
                self._inboxes.pop(request_id, None)

    def _read(self, record: Any) -> None:
        """A delta of anybody's stream, or whatever else was written to the topic."""
        headers = dict(record.headers)  # of a repeated header the last one counts
        request_id, event_id = _text(headers.get("request_id")), _text(headers.get("ce_id"))
        if request_id is None or event_id is None or record.value is None:
            return
        for inbox in self._inboxes.get(request_id, ()):
            inbox.put(event_id, headers, record.value)


def _text(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None
