"""What of a chat completion has been told, and what is missing of it. Pure.

Every text, list and tool's call of an answer has a path (choice, field, ...). What was told is a part of a whole answer if each
of its texts is where the whole's begins; then what is missing is the rest of each. Two halves of different answers are never
put together: of a tool's call the id and the name count, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

_Path = tuple[str | int, ...]

_TEXTS: Final = frozenset(
    {"content", "refusal", "reasoning_content", "reasoning", "reasoning_text", "thinking", "text"}
)
"""Fields of a message that come in pieces; other strings are told as a whole."""


@dataclass(slots=True)
class Told:
    """As much of an answer as was told."""

    _choices: set[int] = field(default_factory=set)
    _growing: dict[_Path, Any] = field(default_factory=dict)
    """Texts and lists, which later pieces are added to."""
    _facts: dict[_Path, Any] = field(default_factory=dict)
    """What is told as a whole."""
    _ids: dict[tuple[int, int], str] = field(default_factory=dict)
    """Of calls, by choice and number."""
    _numbers: dict[int, dict[int, int]] = field(default_factory=dict)
    """By choice: the number of the call that pieces with an index now belong to."""
    _highest: dict[int, int] = field(default_factory=dict)
    """By choice: the highest number of a call."""

    @classmethod
    def all_of(cls, completion: Mapping[str, Any]) -> Told:
        """All of a whole chat completion, as the answer has it."""
        told = cls()
        for place, choice in enumerate(_dicts(completion.get("choices"))):
            message = choice.get("message")
            reason = choice.get("finish_reason") or "stop"
            if isinstance(message, dict):
                calls = [{**call, "index": at} for at, call in enumerate(_dicts(message.get("tool_calls")))]
                message = {**message, "tool_calls": calls}
            told._add_choice({**choice, "delta": message, "finish_reason": reason}, place)
        return told

    @property
    def says(self) -> bool:
        """Whether it has any text, call, end or other content."""
        return bool(self._facts) or any(self._growing.values())

    @property
    def ended(self) -> set[str | int]:
        """Choices that have told their `finish_reason`: nothing of theirs comes after that."""
        return {path[0] for path in self._facts if path[1] == "finish_reason"}

    def add(self, chunk: Mapping[str, Any]) -> None:
        """Take a `chat.completion.chunk`. Calls in it that their index does not tell apart are given one that does."""
        for place, choice in enumerate(_dicts(chunk.get("choices"))):
            self._add_choice(choice, place)

    def has_ended_as(self, whole: Told) -> bool:
        """Whether each choice of the whole was told to its end, with the same texts and calls. Other fields do not count:
        a stream may have them otherwise than the whole.
        """
        texts = {path for path, value in whole._growing.items() if isinstance(value, str) and len(path) == 2}
        return (
            whole._choices <= self.ended
            and all(self._growing.get(path, "") == whole._growing[path] for path in texts)
            and self._ids == whole._ids
        )

    def missing(self, whole: Told) -> list[dict[str, Any]] | None:
        """Choices of chunks that bring what the whole has beyond it; None where it is not where the whole begins."""
        if any(_is_of_a_call(path) and whole._facts.get(path) != fact for path, fact in self._facts.items()):
            return None
        rests = {path: _rest(self._growing.get(path), rest, path) for path, rest in whole._growing.items()}
        if None in rests.values() or any(self._growing[path] for path in self._growing.keys() - rests.keys()):
            return None
        if any(isinstance(rest, str) and rest and path[0] in self.ended for path, rest in rests.items()):
            return None
        deltas: dict[int, dict[str, Any]] = {choice: {} for choice in sorted(whole._choices)}
        for choice in whole._choices - self._choices:
            deltas[choice] = {"role": "assistant", "content": ""}
        told = {path: rest for path, rest in rests.items() if rest}
        facts = {path: fact for path, fact in whole._facts.items() if path not in self._facts}
        for path, value in {**facts, **told}.items():
            if path[1] != "finish_reason":
                _put(deltas[_choice_of(path)], path, value)
        found = []
        for choice, delta in deltas.items():
            if delta:
                found.append(_part(choice, delta, None))
            if (reason := facts.get((choice, "finish_reason"))) is not None:
                found.append(_part(choice, {}, reason))
        return found

    def _add_choice(self, given: Mapping[str, Any], place: int) -> None:
        index = given.get("index")
        choice = index if isinstance(index, int) else place
        self._choices.add(choice)
        delta = given.get("delta")
        for name, value in (delta if isinstance(delta, dict) else {}).items():
            path = (choice, name)
            if value is None or name == "role":
                continue
            if name == "tool_calls":
                for at, piece in enumerate(_dicts(value)):
                    piece["index"] = self._number_of(choice, piece, at)
                    self._add_call((*path, piece["index"]), piece)
            elif name == "function_call" and isinstance(value, dict):
                self._add_call(path, {"function": value})
            elif isinstance(value, list) or (isinstance(value, str) and name in _TEXTS):
                self._grow(path, value)
            else:
                self._facts[path] = value
        if given.get("finish_reason"):
            self._facts[choice, "finish_reason"] = given["finish_reason"]

    def _add_call(self, path: _Path, piece: Mapping[str, Any]) -> None:
        function = piece.get("function")
        function = function if isinstance(function, dict) else {}
        for name, value in {**piece, **function}.items():
            if name == "arguments" and isinstance(value, str):
                self._grow((*path, name), value)
            elif name not in ("index", "function", "arguments") and value:
                self._facts[*path, name] = value

    def _number_of(self, choice: int, piece: Mapping[str, Any], place: int) -> int:
        """Of a tool's call. Some servers give every call the index 0, or none: those are told apart by their ids, and a piece
        without an id goes on with the call that began last under its index (huggingface/smolagents#1958,
        oracle/langchain-oracle#253).
        """
        numbers, free = self._numbers.setdefault(choice, {}), self._highest.get(choice, -1) + 1
        index, named = piece.get("index"), piece.get("id")
        if not isinstance(index, int):
            index = place if place or not numbers else max(numbers, key=lambda each: numbers[each])
        number = numbers.get(index, index)
        if named and self._ids.get((choice, number), named) != named:
            known = (at for (of, at), name in self._ids.items() if of == choice and name == named)
            number = next(known, free)
        elif index not in numbers and number in numbers.values():
            number = free
        if named:
            self._ids[choice, number] = named
        self._highest[choice] = max(number, free - 1)
        numbers[index] = number
        return number

    def _grow(self, path: _Path, more: str | list[Any]) -> None:
        known = self._growing.get(path)
        self._growing[path] = known + more if type(known) is type(more) else more


def _dicts(given: object) -> list[dict[str, Any]]:
    return [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []


def _choice_of(path: _Path) -> int:
    assert isinstance(path[0], int)
    return path[0]


def _is_of_a_call(path: _Path) -> bool:
    return path[1] in ("tool_calls", "function_call")


def _rest(told: Any, whole: Any, path: _Path) -> Any:
    """What comes after what was told; None where that is not where the whole begins."""
    if told is None or whole[: len(told)] == told:
        return whole[len(told or ()) :]
    # A provider may space a call's arguments otherwise in its answer than in its stream.
    same = path[-1] == "arguments" and _parsed(told) is not None and _parsed(told) == _parsed(whole)
    return "" if same else None


def _parsed(arguments: str) -> Any:
    try:
        return orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return None


def _put(delta: dict[str, Any], path: _Path, value: Any) -> None:
    """Put the value of a path into a delta."""
    if not _is_of_a_call(path):
        delta[str(path[1])] = value
        return
    if path[1] == "function_call":
        delta.setdefault("function_call", {"arguments": ""})[path[-1]] = value
        return
    calls = delta.setdefault("tool_calls", [])
    piece = next((each for each in calls if each["index"] == path[2]), None)
    if piece is None:
        piece = {"index": path[2], "function": {"arguments": ""}}
        calls.append(piece)
    (piece["function"] if path[-1] in ("name", "arguments") else piece)[path[-1]] = value


def _part(index: int, delta: dict[str, Any], reason: Any) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": reason, "logprobs": None}
