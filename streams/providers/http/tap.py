"""Chunks of a streamed answer for who wants them as they come, beside the answer that is put together of them."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import replace

import structlog

from streams.kept import Kept
from streams.pipeline import Deltas
from streams.providers.formats.wire import Chunker

log = structlog.get_logger("headrace.providers")


class Tap:
    """Gives what a stream's events bring to `deltas`. A fault of it costs chunks, never the answer.

    `progress`: what an upstream's answer is gone on with after a loss is noted there; None: nothing is. `promises`: nothing
    is told before the upstream's name for the answer is safe.
    """

    def __init__(
        self, chunker: Chunker, deltas: Deltas, progress: Kept | None = None, *, promises: bool = False
    ) -> None:
        self._chunker: Chunker | None = chunker
        self._deltas = deltas
        self._progress = progress
        self._promises = promises
        self._has_put = False

    def retell(self, chunks: Sequence[bytes], reached: int | None) -> None:
        """What an earlier attempt has told, which this one goes on behind."""
        for number, chunk in enumerate(chunks):
            after = reached if number == len(chunks) - 1 else None
            self._deltas.put(chunk, True, after)
            if self._progress is not None:
                self._progress.take(chunk)
                self._progress.after = after

    def take(self, data: bytes, brought: bool, is_chunk: bool) -> None:
        """One event's data; `brought`: a part of the text. `is_chunk`: it is a chunk as it stands. Raises nothing."""
        chunker, progress = self._chunker, self._progress
        if chunker is None:
            return
        try:
            for chunk in (data,) if is_chunk else chunker.feed(data):
                self._deltas.put(chunk, brought, chunker.reached)
                self._has_put = True
                if progress is not None:
                    progress.take(chunk)
            if progress is not None:
                progress.after, progress.over = chunker.reached, chunker.failed
        except Exception:
            log.exception("no more chunks of a stream: one of its events could not be passed on")
            self._chunker = None

    def rest(self) -> Awaitable[None] | None:
        """See `Deltas.rest`; None too where nothing is passed on any more."""
        return None if self._chunker is None else self._deltas.rest()

    @property
    def owes_a_promise(self) -> bool:
        """Whether the upstream has begun, and so has said what it calls the answer, and that is not safe yet."""
        return self._promises and self._chunker is not None and self._has_put

    async def promise(self) -> None:
        """Make it safe. Where that fails the answer is not told in pieces: a reader would have what nobody can go on with."""
        chunker, progress = self._chunker, self._progress
        assert chunker is not None
        assert progress is not None
        assert progress.upstream is not None
        self._promises = False
        progress.upstream = replace(progress.upstream, id=chunker.upstream_id)
        if not await self._deltas.promise(progress.upstream):
            log.warning("a stream's upstream could not be written down: its answer comes as a whole")
            self._chunker = None
