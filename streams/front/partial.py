"""What of a chat completion has been told, and what is missing of it: by the position in each of its texts. Pure.

Two halves of different answers are never put together: what is missing is given only where everything that was told is where the
whole begins. Of a tool's call the id and the name count too, so that no call gets another one's arguments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

_TEXTS: Final = frozenset(
    {"content", "refusal", "reasoning_content", "reasoning", "reasoning_text", "thinking", "text"}
)
"""Fields of a message that come in pieces; other strings are told as a whole."""


@dataclass(slots=True)
class Call:
    """A tool's call as far as it was told. `head`: everything but the arguments."""

    head: dict[str, Any] = field(default_factory=dict)
    arguments: str = ""

    def add(self, piece: Mapping[str, Any]) -> None:
        for name, value in piece.items():
            if name == "function" and isinstance(value, dict):
                more = value.get("arguments")
                self.arguments += more if isinstance(more, str) else ""
                if value.get("name"):
                    self.head["name"] = value["name"]
            elif name != "index" and value:
                self.head[name] = value

    def missing(self, whole: Call, index: int) -> dict[str, Any] | None:
        """What the whole has beyond it, as a piece of `tool_calls`, perhaps empty; None where it is another call."""
        if any(whole.head.get(name) != value for name, value in self.head.items()):
            return None
        rest = _rest(self.arguments, whole.arguments)
        if rest is None:
            if _parsed(self.arguments) != _parsed(whole.arguments) or _parsed(self.arguments) is None:
                return None
            rest = ""
        head = {name: value for name, value in whole.head.items() if name not in self.head}
        if not head and not rest:
            return {}
        function = {"arguments": rest} | ({"name": head.pop("name")} if "name" in head else {})
        return {"index": index, **head, "function": function}


@dataclass(slots=True)
class Choice:
    """One choice as far as it was told."""

    calls: dict[int, Call] = field(default_factory=dict)
    others: dict[str, Any] = field(default_factory=dict)
    """Lists grow; what is neither text nor list is told as a whole."""
    reason: str | None = None
    _pieces: dict[str, list[str]] = field(default_factory=dict)
    """Of each text; put together when somebody asks, else a long answer would be copied at each of its tokens."""
    _numbers: dict[int, int] = field(default_factory=dict)
    """The number of the call that pieces with an index now belong to."""

    @property
    def texts(self) -> dict[str, str]:
        """By field of the message: `content`, `refusal`, `reasoning_content` and what else is a text."""
        for name, pieces in self._pieces.items():
            if len(pieces) > 1:
                self._pieces[name] = ["".join(pieces)]
        return {name: pieces[0] for name, pieces in self._pieces.items()}

    @property
    def says(self) -> bool:
        return bool(self.calls or self.others or any(map(any, self._pieces.values())))

    def add(self, delta: Mapping[str, Any]) -> bool:
        """Take a delta; whether calls in it were given other numbers, because theirs do not tell them apart."""
        renumbered = False
        for name, value in delta.items():
            if value is None or name == "role":
                continue
            if isinstance(value, str) and name in _TEXTS:
                pieces = self._pieces.get(name)
                if pieces is None:
                    self._pieces[name] = [value]
                else:
                    pieces.append(value)
            elif name == "tool_calls" and isinstance(value, list):
                for place, piece in enumerate(value):
                    if isinstance(piece, dict):
                        number = self._number_of(piece, place)
                        renumbered = renumbered or piece.get("index") != number
                        piece["index"] = number
                        self.calls.setdefault(number, Call()).add(piece)
            elif isinstance(value, list):
                self.others[name] = [*self.others.get(name, ()), *value]
            else:
                self.others[name] = value
        return renumbered

    def _number_of(self, piece: Mapping[str, Any], place: int) -> int:
        """Of a call. Some servers give every call the index 0, or none, and tell them apart by their ids (Gemini:
        NousResearch/hermes-agent#62940): who joins by the index would make one call of them. A piece without an id goes on with
        the call that began last under its index (huggingface/smolagents#1958, oracle/langchain-oracle#253).
        """
        index, named = piece.get("index"), piece.get("id")
        if not isinstance(index, int):
            index = place if not self.calls else max(self._numbers, key=lambda each: self._numbers[each])
        number = self._numbers.get(index, index)
        known, free = self.calls.get(number), max(self.calls, default=-1) + 1
        if known is not None and named and known.head.get("id", named) != named:
            number = next((at for at, call in self.calls.items() if call.head.get("id") == named), free)
        elif index not in self._numbers and known is not None:
            number = free
        self._numbers[index] = number
        return number

    def is_the_same_as(self, whole: Choice) -> bool:
        """Whether its texts are the whole's, and its calls those."""
        ids = [{call.head.get("id") for call in each.calls.values()} for each in (self, whole)]
        mine = self.texts
        return ids[0] == ids[1] and all(mine.get(name, "") == text for name, text in whole.texts.items())

    def missing(self, whole: Choice) -> dict[str, Any] | None:
        """The delta that brings what the whole has beyond it, perhaps empty; None where this is not where the whole begins."""
        delta: dict[str, Any] = {}
        mine, theirs = self.texts, whole.texts
        for name in {**mine, **theirs}:
            rest = _rest(mine.get(name, ""), theirs.get(name, ""))
            if rest is None:
                return None
            if rest:
                delta[name] = rest
        if not self.calls.keys() <= whole.calls.keys() or not self.others.keys() <= whole.others.keys():
            return None
        pieces = [self.calls.get(index, Call()).missing(call, index) for index, call in sorted(whole.calls.items())]
        if None in pieces:
            return None
        if told := [piece for piece in pieces if piece]:
            delta["tool_calls"] = told
        for name, value in whole.others.items():
            known = self.others.get(name)
            if isinstance(value, list) and isinstance(known, list) and value[: len(known)] == known:
                value = value[len(known) :]
            elif known is not None and known != value and isinstance(value, list):
                return None
            if value and (known is None or isinstance(value, list)):
                delta[name] = value
        return delta


@dataclass(slots=True)
class Partial:
    """What was told of an answer, choice by choice."""

    choices: dict[int, Choice] = field(default_factory=dict)

    @classmethod
    def of(cls, completion: Mapping[str, Any]) -> Partial:
        """All of a whole chat completion."""
        partial = cls()
        choices = completion.get("choices")
        for place, given in enumerate(choices if isinstance(choices, list) else ()):
            if not isinstance(given, dict):
                continue
            choice = partial._choice(given, place)
            message = given.get("message")
            message = message if isinstance(message, dict) else {}
            calls = message.get("tool_calls")
            if isinstance(calls, list):
                numbered = [{"index": at, **call} for at, call in enumerate(calls) if isinstance(call, dict)]
                message = {**message, "tool_calls": numbered}
            choice.add(message)
            choice.reason = given.get("finish_reason") or "stop"
        return partial

    @property
    def says(self) -> bool:
        """Whether it has any text, call or other content."""
        return any(choice.says for choice in self.choices.values())

    @property
    def ended(self) -> set[int]:
        """Choices that have told their `finish_reason`: nothing of theirs comes after that."""
        return {index for index, choice in self.choices.items() if choice.reason}

    def add(self, chunk: Mapping[str, Any]) -> bool:
        """Take a `chat.completion.chunk`, as `is_chunk` has it; whether calls in it were given other numbers."""
        renumbered = False
        for place, given in enumerate(chunk["choices"]):
            choice = self._choice(given, place)
            renumbered = choice.add(given.get("delta") or {}) or renumbered
            choice.reason = given.get("finish_reason") or choice.reason
        return renumbered

    def has_ended_as(self, whole: Partial) -> bool:
        """Whether it was told to the end of each choice that the whole has, and is that answer. Fields that are neither texts nor
        calls do not count: a stream may have them otherwise than the whole.
        """
        told = [(self.choices.get(index), choice) for index, choice in whole.choices.items()]
        return all(mine is not None and mine.reason and mine.is_the_same_as(choice) for mine, choice in told)

    def missing(self, whole: Partial) -> list[dict[str, Any]] | None:
        """Choices of chunks that bring what the whole has beyond it, in order; None where it is not where the whole begins."""
        if any(choice.says for index, choice in self.choices.items() if index not in whole.choices):
            return None
        found: list[dict[str, Any]] = []
        for index, choice in whole.choices.items():
            told = self.choices.get(index)
            delta = (told or Choice()).missing(choice)
            if delta is None:
                return None
            if told is None:
                found.append(_part(index, {"role": "assistant", "content": ""}))
            if delta:
                found.append(_part(index, delta))
            if choice.reason and (told is None or not told.reason):
                found.append(_part(index, {}, choice.reason))
        return found

    def _choice(self, given: Mapping[str, Any], place: int) -> Choice:
        index = given.get("index")
        if not isinstance(index, int):
            index = place
        choice = self.choices.get(index)
        if choice is None:
            choice = self.choices[index] = Choice()
        return choice


def is_chunk(given: Any) -> bool:
    """Whether it is a `chat.completion.chunk` as far as its choices go."""
    choices = given.get("choices") if isinstance(given, dict) else None
    if not isinstance(choices, list):
        return False
    for each in choices:  # noqa: SIM110 - of one, as nearly always, a generator takes twice the time
        if not (isinstance(each, dict) and isinstance(each.get("delta") or {}, dict)):
            return False
    return True


def chunks_with(choices: list[dict[str, Any]], head: Mapping[str, Any]) -> Iterator[bytes]:
    """Chunks of these choices. `head`: a completion or a chunk, whose name, time and model they have."""
    shared = {name: head[name] for name in ("id", "created", "model", "system_fingerprint") if name in head}
    for choice in choices:
        yield orjson.dumps({**shared, "object": "chat.completion.chunk", "choices": [choice]})


def _part(index: int, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": reason, "logprobs": None}


def _rest(told: str, whole: str) -> str | None:
    return whole[len(told) :] if whole.startswith(told) else None


def _parsed(arguments: str) -> Any:
    """What a call's arguments say, where they are whole: a provider may space them otherwise than its answer does."""
    try:
        return orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return None
