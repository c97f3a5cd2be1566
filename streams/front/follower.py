"""A stream as its reader gets it, of the deltas and the whole answer that come: nothing twice, nothing left out, and never two
halves of different answers. Pure.

    following   deltas of one epoch come one after the other, and are told as they are
    lost        one is missing, or cannot be read: what follows is not told; the whole answer fills the rest
    catching    a new epoch after something was told: it is compared with that until it goes beyond it, and then followed;
                where it differs, the stream begins again (`on_loss: restart`) or has broken
    ended       the whole answer has come, and what was missing of it has been told; or the stream has broken

What is told has a place, `lane.offset.number`: the delta that it came with, and a number within it; what the whole answer fills
has the place of the last delta that was told and the numbers after it. The same records in the same order give the same places,
so that any front can go on behind one: what is before it is made again and not told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from schemas.delta import chunks_of
from schemas.response import Response
from streams.front.partial import Partial, chunks_with, is_chunk
from streams.front.pieces import cut
from topics.headers import EPOCH, ON_LOSS, SEQ

_CURSOR: Final = re.compile(r"(\d{1,7})\.(-1|\d{1,19})\.(\d{1,9})", re.ASCII)
NOTHING_TOLD: Final = -1


class Cursor(NamedTuple):
    """A place in a stream."""

    lane: int
    offset: int
    number: int

    @classmethod
    def read(cls, text: str) -> Cursor | None:
        """
        >>> Cursor.read("3.1041.0")
        Cursor(lane=3, offset=1041, number=0)
        """
        found = _CURSOR.fullmatch(text)
        return cls(int(found[1]), int(found[2]), int(found[3])) if found else None

    def __str__(self) -> str:
        return f"{self.lane}.{self.offset}.{self.number}"


@dataclass(frozen=True, slots=True)
class Delta:
    """Chunks of a chat completion as JSON, to be told in this order."""

    chunks: tuple[bytes, ...]
    first: Cursor
    """The place of the first one; the others have the numbers after it."""

    @property
    def cursor(self) -> str:
        """The place of the last one."""
        return str(self.place(len(self.chunks) - 1))

    def place(self, index: int) -> Cursor:
        return Cursor(self.first.lane, self.first.offset, self.first.number + index)


@dataclass(frozen=True, slots=True)
class Restarted:
    """What was told is void: the answer begins again."""

    cursor: str


@dataclass(frozen=True, slots=True)
class Whole:
    """The end: the answer, good or bad. All of a good one has been told."""

    response: Response


@dataclass(frozen=True, slots=True)
class Broken:
    """The end: there is an answer, or will be one, and it does not go on where this stream stopped."""


Told = Delta | Restarted | Whole | Broken


@dataclass(slots=True)
class Follower:
    """Makes a stream. `resume`: the place of what its reader has already."""

    lane: int
    resume: Cursor | None = None
    _told: Partial = field(default_factory=Partial)
    _catching: Partial | None = None
    _head: Mapping[str, Any] = field(default_factory=dict)
    _epoch: int = -1
    _next_seq: int = 0
    _lost: bool = False
    _restarts: bool = False
    _offset: int = NOTHING_TOLD
    _number: int = 0
    """Of the next thing that is told at `_offset`."""
    _deaf: bool = False
    """The reader was at a place behind all deltas already: they are not told, as they were not then."""
    ended: bool = False

    def __post_init__(self) -> None:
        self._deaf = self.resume is not None and self.resume.offset == NOTHING_TOLD

    def take(self, offset: int, headers: Mapping[str, bytes], value: bytes) -> list[Told]:
        """A delta of the request; what is to be told now."""
        try:
            epoch, seq = int(headers[EPOCH]), int(headers[SEQ])
        except (KeyError, ValueError):
            return []
        if self.ended or self._deaf or epoch < self._epoch:
            return []
        if epoch > self._epoch:
            self._begin(epoch, restarts=headers.get(ON_LOSS) == b"restart")
        if self._lost or seq < self._next_seq:
            return []
        self._lost = seq > self._next_seq
        self._next_seq += 1
        if self._lost:
            return []
        try:
            told = self._follow(offset, value)
        except ValueError:
            self._lost = True
            return []
        if self.resume is not None and offset == self.resume.offset:
            self._deaf = self.resume.number >= (self._number if self._offset == offset else 0)
        return told

    def whole(self, response: Response) -> list[Told]:
        """The answer; what is to be told to the end."""
        if self.ended:
            return []
        self.ended = True
        if response.error is not None or response.payload is None:
            return [Whole(response)]
        whole = Partial.of(response.payload)
        if not (self._lost or self._deaf) and self._catching is None and self._told.has_ended_as(whole):
            return [Whole(response)]
        self._head = response.payload
        missing = self._told.missing(whole)
        if missing is not None:
            pieces = [piece for choice in missing for piece in cut(choice)]
            return [*self._tell(chunks_with(pieces, self._head)), Whole(response)]
        if not self._restarts:
            return [Broken()]
        return [*self._restart(whole), Whole(response)]

    def _begin(self, epoch: int, *, restarts: bool) -> None:
        self._epoch, self._next_seq, self._lost, self._restarts = epoch, 0, False, restarts
        if self._told.says:
            self._catching = Partial()
        else:
            self._told = Partial()

    def _follow(self, offset: int, value: bytes) -> list[Told]:
        """Raises ValueError for chunks that are none; then nothing of them counts."""
        chunks = chunks_of(value)
        read = orjson.loads(value)
        if len(read) != len(chunks) or not all(map(is_chunk, read)):
            raise ValueError("a delta with something that is no chunk")
        into = self._told if self._catching is None else self._catching
        told: list[bytes] = []
        for chunk, parsed in zip(chunks, read, strict=True):
            if parsed["choices"] or not parsed.get("usage"):
                told.append(orjson.dumps(parsed) if into.add(parsed) else chunk)
                self._head = parsed
        if self._catching is None:
            return self._at(offset, told)
        return self._catch_up(offset, self._catching)

    def _catch_up(self, offset: int, catching: Partial) -> list[Told]:
        missing = self._told.missing(catching)
        if missing is not None and self._told.ended <= catching.ended:  # an end is told once
            self._told, self._catching = catching, None
            return self._at(offset, chunks_with(missing, self._head))
        if catching.missing(self._told) is not None:
            return []
        if not self._restarts:
            self.ended = True
            return [Broken()]
        self._go_to(offset)
        return self._restart(catching)

    def _restart(self, whole: Partial) -> list[Told]:
        self._told, self._catching = whole, None
        return [*self._mark(), *self._tell(chunks_with(Partial().missing(whole) or [], self._head))]

    def _mark(self) -> list[Told]:
        place = Cursor(self.lane, self._offset, self._number)
        self._number += 1
        return [] if self._has(place) else [Restarted(str(place))]

    def _go_to(self, offset: int) -> None:
        if offset != self._offset:
            self._offset, self._number = offset, 0

    def _at(self, offset: int, chunks: Iterable[bytes]) -> list[Told]:
        found = tuple(chunks)
        if found:
            self._go_to(offset)
        return self._tell(found)

    def _tell(self, chunks: Iterable[bytes]) -> list[Told]:
        """Chunks at the current place, but for those that the reader has."""
        found = tuple(chunks)
        first = self._number
        self._number += len(found)
        if self.resume is None:
            return [Delta(found, Cursor(self.lane, self._offset, first))] if found else []
        skipped = sum(self._has(Cursor(self.lane, self._offset, first + index)) for index in range(len(found)))
        if skipped == len(found):
            return []
        return [Delta(found[skipped:], Cursor(self.lane, self._offset, first + skipped))]

    def _has(self, place: Cursor) -> bool:
        has = self.resume
        return has is not None and (place.offset, place.number) <= (has.offset, has.number)
