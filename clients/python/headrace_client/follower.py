"""A stream as its reader gets it, of the deltas and the answer that come: nothing twice, nothing left out. Pure.

following   deltas of one epoch come one after the other, and are told as they are
lost        one is missing, or cannot be read: what follows is not told; the answer fills the rest
catching    a new epoch (another attempt, or another worker) after something was told: it is compared with that until it
            goes beyond it, and then followed; where it differs, the stream begins again or has diverged
ended       the answer has come, and what was missing of it has been told
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from headrace_client.answers import Answer
from headrace_client.told import Told

Headers = Mapping[str, bytes | None]

_DIGITS: Final = 19


@dataclass(frozen=True, slots=True)
class Delta:
    """More of an answer: `chat.completion.chunk` objects, as the provider sent them or made of what was missing."""

    chunks: tuple[Mapping[str, Any], ...]

    @property
    def text(self) -> str:
        """What they add to the text of the first choice; may be empty."""
        found = ""
        for choice in (choice for chunk in self.chunks for choice in chunk["choices"]):
            delta = choice.get("delta") or {}
            if choice.get("index", 0) == 0 and isinstance(delta.get("content"), str):
                found += delta["content"]
        return found


@dataclass(frozen=True, slots=True)
class Restarted:
    """What was told is void: the answer begins again. Only where the fleet's provider allows it (`stream_on_loss`)."""


StreamEvent = Delta | Restarted
"""What a stream tells on its way."""


@dataclass(slots=True)
class Follower:
    """Makes a stream of one request's records."""

    diverged: bool = False
    """The answer does not go on where what was told stopped: nothing more is told."""
    _told: Told = field(default_factory=Told)
    _catching: Told | None = None
    _head: Mapping[str, Any] = field(default_factory=dict)
    _epoch: int = -1
    _next_seq: int = 0
    _lost: bool = False
    _restarts: bool = False

    def take(self, headers: Headers, value: bytes | None) -> list[StreamEvent]:
        """A delta of the request; what is to be told now. Raises nothing, whatever the record holds."""
        epoch, seq = _number(headers.get("epoch")), _number(headers.get("seq"))
        if epoch is None or seq is None or self.diverged or epoch < self._epoch:
            return []
        if epoch > self._epoch:
            self._begin(epoch, restarts=headers.get("on_loss") == b"restart")
        if self._lost or seq < self._next_seq:
            return []
        chunks = _chunks(value) if seq == self._next_seq else None
        self._next_seq += 1
        self._lost = chunks is None
        return self._follow(chunks) if chunks else []

    def whole(self, answer: Answer) -> list[StreamEvent]:
        """The answer; what is still to be told of it."""
        if not answer.ok or self.diverged:
            return []
        whole = Told.all_of(answer.payload)
        if not self._lost and self._catching is None and self._told.has_ended_as(whole):
            return []
        self._head = answer.payload
        if (missing := self._told.missing(whole)) is not None:
            return self._made(missing)
        return self._differs(whole)

    def _begin(self, epoch: int, *, restarts: bool) -> None:
        self._epoch, self._next_seq, self._lost, self._restarts = epoch, 0, False, restarts
        if self._told.says:
            self._catching = Told()
        else:
            self._told = Told()

    def _follow(self, chunks: Sequence[dict[str, Any]]) -> list[StreamEvent]:
        # Chunks with nothing but the usage come again with each epoch; the answer has it.
        passing = tuple(chunk for chunk in chunks if chunk["choices"] or not chunk.get("usage"))
        into = self._told if self._catching is None else self._catching
        for chunk in passing:
            into.add(chunk)
            self._head = chunk
        if self._catching is None:
            return [Delta(passing)] if passing else []
        missing = self._told.missing(self._catching)
        if missing is not None and self._told.ended <= self._catching.ended:
            self._told, self._catching = self._catching, None
            return self._made(missing)
        if missing is not None or self._catching.missing(self._told) is not None:
            return []  # not so far yet as what was told
        return self._differs(self._catching)

    def _differs(self, whole: Told) -> list[StreamEvent]:
        if not self._restarts:
            self.diverged = True
            return []
        self._told, self._catching = whole, None
        return [Restarted(), *self._made(Told().missing(whole) or [])]

    def _made(self, choices: Sequence[dict[str, Any]]) -> list[StreamEvent]:
        shared = {name: self._head[name] for name in ("id", "created", "model") if name in self._head}
        head = {**shared, "object": "chat.completion.chunk"}
        return [Delta(tuple({**head, "choices": [choice]} for choice in choices))] if choices else []


def _number(value: bytes | None) -> int | None:
    return int(value) if value is not None and value.isdigit() and len(value) <= _DIGITS else None


def _chunks(value: bytes | None) -> list[dict[str, Any]] | None:
    """The chunks of a delta; None for a value that has none."""
    try:
        found = orjson.loads(value or b"")
    except ValueError:
        return None
    return found if isinstance(found, list) and found and all(_is_chunk(each) for each in found) else None


def _is_chunk(given: Any) -> bool:
    choices = given.get("choices") if isinstance(given, dict) else None
    return isinstance(choices, list) and all(
        isinstance(each, dict) and isinstance(each.get("delta") or {}, dict) for each in choices
    )
