"""Chunks of a streamed answer for who wants them as they come, beside the answer that is put together of them."""

from __future__ import annotations

import structlog

from streams.pipeline import Deltas
from streams.providers.formats.wire import Chunker

log = structlog.get_logger("headrace.providers")


class Tap:
    """Gives what a stream's events bring to `deltas`. A fault of it costs chunks, never the answer."""

    def __init__(self, chunker: Chunker, deltas: Deltas) -> None:
        self._chunker: Chunker | None = chunker
        self._deltas = deltas

    def take(self, data: bytes, brought: bool) -> None:
        """One event's data; `brought`: a part of the text. Raises nothing."""
        if self._chunker is None:
            return
        try:
            for chunk in self._chunker.feed(data):
                self._deltas.put(chunk, brought)
        except Exception:
            log.exception("no more chunks of a stream: one of its events could not be passed on")
            self._chunker = None
