"""What is told, on its way to a collector: a bounded queue and one loop. Whoever tells is never waited for, and never waits.

A collector that is down costs what is queued, at most 2,048 requests, one attempt every half a minute, and one line a minute in
the log. What finds no room is counted and gone.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from streams.backoff import equal_jitter_s, exponential_s
from streams.metrics import definitions as metrics
from streams.otel.facts import Ended, Told
from streams.otel.sender import Sender, Sent
from streams.supervise import end, supervised

log = structlog.get_logger("headrace.otel")

MOST_QUEUED: Final = 2048
MOST_PAYLOAD_BYTES: Final = 8_000_000
"""Of answers whose head is still to be read; beyond it spans go without."""
_BATCH: Final = 128
_EVERY_S: Final = 1.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
_LONGEST_ASKED_S: Final = 120.0
"""Of a wait that a collector asks for."""
_MOST_TRIES: Final = 5
"""Of one batch; then it is dropped, and the next one is tried after the same pause."""
_LINE_EVERY_S: Final = 60.0
FLUSH_S: Final = 2.0
"""For what is queued when the process ends."""

Encode = Callable[[Sequence[Told]], bytes]
"""The bytes of an export request; runs in a thread."""
ReadRefused = Callable[[bytes], tuple[int, str]]


class Exporter:
    """Owns the queue and the loop; `stop` it."""

    def __init__(self, sender: Sender, encode: Encode, refused_of: ReadRefused) -> None:
        self._sender = sender
        self._encode = encode
        self._refused_of = refused_of
        self._queue: deque[Told] = deque()
        self._payload_bytes = 0
        self._due = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failures = 0
        self._lost = 0
        self._told_at = float("-inf")

    def start(self) -> None:
        """Begin to send."""
        self._task = supervised("spans", self._run)

    def room_for(self, payload: bytes | None) -> bytes:
        """The payload, where so much may still be held; else nothing of it."""
        if payload is None or self._payload_bytes + len(payload) > MOST_PAYLOAD_BYTES:
            return b""
        return payload

    def put(self, told: Told) -> None:
        """Tell of a request; without room it is counted and gone."""
        if len(self._queue) >= MOST_QUEUED:
            self._drop(1)
            return
        self._queue.append(told)
        if isinstance(told, Ended):
            self._payload_bytes += len(told.payload)
        if len(self._queue) >= _BATCH:
            self._due.set()

    async def stop(self, within_s: float = FLUSH_S) -> None:
        """Send what is queued, at most for so long, without a second try; what is left is gone."""
        self._stopping.set()
        self._due.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=within_s)
            await end([self._task])
        if self._queue:
            self._drop(len(self._queue))
            self._queue.clear()
        await self._sender.close()

    async def _run(self) -> None:
        while not (self._stopping.is_set() and not self._queue):
            await _within(self._due, _EVERY_S)
            self._due.clear()
            while self._queue and await self._send_batch():
                pass
            if self._stopping.is_set():
                return

    async def _send_batch(self) -> bool:
        """Send the oldest; whether the collector takes more."""
        batch = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
        self._payload_bytes -= sum(len(told.payload) for told in batch if isinstance(told, Ended))
        settled = False
        try:
            packed = await asyncio.to_thread(self._packed, batch)
            for attempt in range(_MOST_TRIES):
                sent = await self._sender.send(packed)
                if sent.well:
                    settled = True
                    self._well(len(batch), sent)
                    return True
                self._failures += 1
                if not sent.again:
                    metrics.TRACE_EXPORTS.labels("refused").inc(len(batch))
                    settled = True
                    self._complain(sent.why, len(batch))
                    return True
                if self._stopping.is_set():
                    return False
                last = attempt == _MOST_TRIES - 1
                self._complain(sent.why, 0)
                await _within(self._stopping, _pause_s(self._failures, sent.retry_after_s))
                if last:
                    return False
        finally:
            if not settled:
                self._drop(len(batch))
        return False

    def _packed(self, batch: Sequence[Told]) -> bytes:
        return self._sender.pack(self._encode(batch))

    def _well(self, requests: int, sent: Sent) -> None:
        refused, why = self._refused_of(sent.body)
        metrics.TRACE_EXPORTS.labels("sent").inc(requests)
        if refused:
            self._complain(f"the collector refused {refused} spans: {why[:200]}", 0)
        elif self._failures:
            log.info("spans are exported again", failures=self._failures, dropped=self._lost)
            self._lost = 0
        self._failures = 0

    def _drop(self, requests: int) -> None:
        metrics.TRACE_EXPORTS.labels("dropped").inc(requests)
        self._lost += requests

    def _complain(self, why: str, requests: int) -> None:
        """At most once a minute."""
        self._lost += requests
        if (now := time.monotonic()) < self._told_at + _LINE_EVERY_S:
            return
        self._told_at = now
        log.warning("spans are not exported", why=why, dropped=self._lost, queued=len(self._queue))
        self._lost = 0


def _pause_s(failures: int, asked_s: float | None) -> float:
    own_s = equal_jitter_s(exponential_s(failures, _FIRST_PAUSE_S, _LONGEST_PAUSE_S))
    return own_s if asked_s is None else max(own_s, min(asked_s, _LONGEST_ASKED_S))


async def _within(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
