"""How one attempt at a streamed answer goes on with what an earlier one began."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Final

from streams.kept import Kept, Seam
from streams.pipeline import Deltas
from streams.providers.formats.wire import Answer, Asked, Failure, Format
from streams.providers.http.tap import Tap


@dataclass(frozen=True, slots=True)
class Resume:
    """`progress`: where this attempt's answer so far is noted; None: nobody goes on with it. Without anything else it begins from
    nothing.
    """

    progress: Kept | None
    promises: bool = False
    """Whether the upstream goes on without a reader, so that its name for the answer has to be safe."""
    kept: Kept | None = None
    """What is told again, and gone on behind."""
    id: str | None = None
    """The upstream's answer to read on."""
    body: bytes | None = None
    """The call by which an upstream goes on behind `kept`."""

    @property
    def after(self) -> int | None:
        """The event behind which the upstream's answer is read on; None: from its start."""
        return None if self.kept is None or self.id is None else self.kept.after


def lost(message: str, status: int | None = None) -> Failure:
    """What was to be gone on with cannot be: no fault of the endpoint's, and the answer may be made anew."""
    return Failure("provider_error", message, fault="request", charged=True, status=status)


_ANEW: Final = lost("the provider began its answer anew instead of continuing it")


class Events:
    """What one stream brings: put together, told, and joined to what was told before."""

    def __init__(self, wire: Format, asked: Asked, deltas: Deltas | None, resume: Resume | None) -> None:
        kept = None if resume is None else resume.kept
        told: Sequence[bytes] = () if kept is None else kept.retold()
        self.assembler = wire.assembler(asked, told)
        self._seam = Seam(kept) if kept is not None and resume is not None and resume.body is not None else None
        self._tap: Tap | None = None
        if deltas is not None:
            progress = None if resume is None else resume.progress
            promises = resume is not None and resume.promises and resume.id is None
            self._tap = Tap(wire.chunker(None if kept is None else kept.head), deltas, progress, promises=promises)
            self._tap.retell(told, None if resume is None else resume.after)

    def feed(self, data: bytes) -> bool:
        """Take one event's data. Whether it brought a part of the answer's text. `promise` follows, where it is owed."""
        if self._seam is None:
            return self._take(data)
        brought = False
        for piece in self._seam.feed(data):
            if self.anew:
                return False
            brought = self._take(piece) or brought
        return brought

    def _take(self, data: bytes) -> bool:
        assembler = self.assembler
        counts, brought = not assembler.ended, assembler.feed(data)
        if self._tap is not None and counts:
            self._tap.take(data, brought, assembler.is_chunk)
        return brought

    @property
    def owes_a_promise(self) -> bool:
        """Whether the upstream has said what it calls the answer, and that is to be made safe before more is read."""
        return self._tap is not None and self._tap.owes_a_promise

    async def promise(self) -> None:
        """Make it safe."""
        if self._tap is not None:
            await self._tap.promise()

    def rest(self) -> Awaitable[None] | None:
        """What to wait for before more is read, if its reader has time; an answer that has ended has none."""
        return None if self._tap is None or self.assembler.ended else self._tap.rest()

    @property
    def size_bytes(self) -> int:
        return self.assembler.size_bytes

    @property
    def ended(self) -> bool:
        """Whether nothing that counts comes any more."""
        return self.assembler.ended

    @property
    def anew(self) -> bool:
        """Whether the upstream began its answer anew where it was to go on, so that the rest is not wanted."""
        return self._seam is not None and self._seam.anew

    def finish(self) -> Answer | Failure:
        """The whole answer, once the stream has ended."""
        return _ANEW if self.anew else self.assembler.finish()
