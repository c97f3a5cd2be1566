"""What is known of a streamed answer that is not whole yet: enough to go on with it, in another attempt or another worker. Pure.

Only a plain text is ever gone on with: one choice that has said nothing but `content`. Calls of tools, reasoning, refusals and
log probabilities are never put together of two attempts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

_MOST_CHARS: Final = 2_000_000
"""A longer text is not gone on with: its answer begins anew."""
_PIECE_CHARS: Final = 60_000
"""Of a text that is told again: a record of deltas takes so much with ease."""
_HEAD: Final = ("id", "created", "model", "system_fingerprint")
_SHORTEST_KNOWN: Final = 16
"""Characters by which an answer is recognised that begins anew where it was to go on."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where an answer is made. `endpoint`: the number of its name (streams/providers/endpoint.py). `id`: what the upstream calls
    an answer that it goes on making without a reader; None where it does not.
    """

    provider: str
    endpoint: int
    model: str
    id: str | None = None

    def encode(self) -> bytes:
        """As the header `upstream` of a delta.

        >>> Upstream("sim", 0, "small", "resp_1").encode()
        b'["sim",0,"small","resp_1"]'
        """
        return orjson.dumps([self.provider, self.endpoint, self.model, self.id])

    @classmethod
    def read(cls, header: bytes | None) -> Upstream | None:
        """None where it is none."""
        try:
            found: Any = orjson.loads(header or b"")
        except orjson.JSONDecodeError:
            return None
        match found:
            case [str(provider), int(endpoint), str(model), None | str() as name]:
                return cls(provider, endpoint, model, name)
        return None


@dataclass(slots=True)
class Kept:
    """An answer so far."""

    upstream: Upstream | None = None
    after: int | None = None
    """The number of the upstream's last event that it holds; None where the upstream does not number them."""
    head: dict[str, Any] = field(default_factory=dict)
    pieces: int = 0
    """Chunks with text: no more than it has tokens."""
    plain: bool = True
    """Whether it is a text and nothing else."""
    reason: str | None = None
    """Why it ended; None: it has not."""
    usage: Any = None
    over: bool = False
    """Whether the upstream says that it failed, so that there is nothing to go on with."""
    _texts: list[str] = field(default_factory=list)
    _chars: int = 0

    @property
    def text(self) -> str:
        if len(self._texts) > 1:
            self._texts = ["".join(self._texts)]
        return self._texts[0] if self._texts else ""

    def take(self, chunk: bytes) -> None:
        """A chunk that follows. What is none makes it something that is not gone on with."""
        try:
            self._add(orjson.loads(chunk))
        except (ValueError, KeyError, TypeError, AttributeError):
            self.plain = False

    def _add(self, chunk: Mapping[str, Any]) -> None:
        if not self.head:
            self.head = {name: chunk[name] for name in _HEAD if chunk.get(name) is not None}
        if chunk.get("usage"):
            self.usage = chunk["usage"]
        for choice in chunk["choices"]:
            delta = choice.get("delta") or {}
            if choice.get("index", 0) != 0 or choice.get("logprobs"):
                self.plain = False
            for name, value in delta.items():
                if name == "content" and isinstance(value, str):
                    self._put(value)
                elif name != "role" and value:
                    self.plain = False
            self.reason = choice.get("finish_reason") or self.reason

    def _put(self, text: str) -> None:
        if text:
            self._texts.append(text)
            self._chars += len(text)
            self.pieces += 1
            self.plain = self.plain and self._chars <= _MOST_CHARS

    @property
    def goes_on(self) -> bool:
        """Whether there is a text that can be gone on with."""
        return self.plain and self.reason is None and not self.over and bool(self.text.strip())

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing but that it was written as an answer."""
        return self.plain and self.reason is not None and bool(self.text) and not self.over

    def retold(self) -> list[bytes]:
        """Chunks that say all of a plain one again: to begin an attempt with that goes on from there."""
        text = self.text
        starts = range(0, len(text), _PIECE_CHARS)
        found = [self._chunk({"content": text[start : start + _PIECE_CHARS]}) for start in starts]
        found.insert(0, self._chunk({"role": "assistant", "content": ""}))
        if self.reason is not None:
            found.append(self._chunk({}, self.reason))
        return found

    def _chunk(self, delta: Mapping[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
        return orjson.dumps({**self.head, "object": "chat.completion.chunk", "choices": [choice]})


def further(told: Kept | None, now: Kept) -> Kept:
    """Which of two attempts at one answer is to be gone on with, the later one being `now`: that which has told more where both
    say the same, else the later one, by which the reader has begun again.
    """
    if told is None:
        return now
    if now.upstream is not None and told.upstream is not None and now.upstream.id not in (None, told.upstream.id):
        return now
    if not now.over and told.plain and now.plain and told.text.startswith(now.text):
        return told if now.reason is None else now
    return now


class Seam:
    """Joins what an upstream says behind a partial answer to that, as one stream of chunks.

    White space at the seam counts once: templates cut it off at the end of a message (huggingface/transformers#33198), so that a
    model says it again, or not. The chunks bear the name and the time of the answer that they go on with.
    """

    def __init__(self, kept: Kept) -> None:
        text = kept.text
        self._told = text
        self._white = text[len(text.rstrip()) :]
        self._head = kept.head
        self._waiting: list[dict[str, Any]] = []
        self._said = ""
        self._joined = False
        self.anew = False
        """Whether the upstream began its answer anew, so that nothing may be joined."""

    def feed(self, data: bytes) -> Sequence[bytes]:
        """The data of an event; those that are to be taken in its place."""
        try:
            chunk = orjson.loads(data)
            choices = chunk["choices"]
            deltas = [choice.get("delta") or {} for choice in choices]
        except (ValueError, KeyError, TypeError, AttributeError):
            return [*self._join(), data]
        chunk |= self._head
        for delta in deltas:
            delta.pop("role", None)
        if self._joined:
            return [orjson.dumps(chunk)]
        self._waiting.append(chunk)
        self._said += "".join(delta["content"] for delta in deltas if isinstance(delta.get("content"), str))
        ends = any(choice.get("finish_reason") for choice in choices)
        return self._join() if ends or len(self._said) >= _SHORTEST_KNOWN else []

    def _join(self) -> list[bytes]:
        """What has waited for it to be known how it goes on."""
        if self._joined:
            return []
        self._joined = True
        start = self._said[:_SHORTEST_KNOWN]
        self.anew = len(start) == _SHORTEST_KNOWN and self._told.startswith(start)
        doubled = next(
            (size for size in range(len(self._white), 0, -1) if self._said.startswith(self._white[-size:])), 0
        )
        for chunk in self._waiting:
            for choice in chunk["choices"]:
                content = (choice.get("delta") or {}).get("content")
                if doubled and isinstance(content, str):
                    choice["delta"]["content"] = content[doubled:]
                    doubled = max(0, doubled - len(content))
        waiting, self._waiting = self._waiting, []
        return [orjson.dumps(chunk) for chunk in waiting]
