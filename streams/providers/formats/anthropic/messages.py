"""The messages of a chat, from the OpenAI to the Anthropic format. Pure.

There, system prompts stand beside the messages, roles alternate and begin with the user, each use of a tool is answered at the
beginning of the very next message, ids have few characters and occur once, and no text is empty. Rules: docs/providers.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from streams.providers.formats.anthropic.names import legal_name, nth_id
from streams.providers.formats.anthropic.parts import THOUGHTS, Block, blocks_of, cache_mark, text_blocks
from streams.providers.formats.anthropic.thinking import returned_blocks
from streams.providers.formats.wire import CannotTranslateError

BEGIN: Final = "(begin)"
"""What the user is made to say before an assistant that speaks first."""
CONTINUE: Final = "(continue)"
"""What the user is made to say after an assistant's last words where the model cannot go on from within them."""


@dataclass(slots=True)
class _Turn:
    """A message to be: the results of the tools that the turn before it used stand before all else."""

    role: str
    results: list[Block] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)


@dataclass(slots=True)
class _Use:
    """A use of a tool: where its result belongs. `index`: of the message that it came in."""

    id: str
    turn: _Turn
    index: int
    result: Block | None = None


class Conversation:
    """What the messages became.

    >>> chat = Conversation([{"role": "user", "content": "hi"}])
    >>> chat.messages()
    [{'role': 'user', 'content': [{'type': 'text', 'text': 'hi'}]}]
    """

    def __init__(self, messages: Sequence[Any]) -> None:
        """Raises CannotTranslateError, naming the message."""
        self.system: list[Block] = []
        self.tool_names: dict[str, None] = {}
        """Of the tools used so far, in their order."""
        self._turns: list[_Turn] = []
        self._uses: dict[str, list[_Use]] = {}
        for index, message in enumerate(messages):
            try:
                self._add(message, index)
            except CannotTranslateError as error:
                raise CannotTranslateError(f"messages.{index}: {error}") from None
            except (KeyError, TypeError, AttributeError, ValueError):
                raise CannotTranslateError(f"messages.{index}: not a message of the OpenAI format") from None
        for name, uses in self._uses.items():
            for use in uses:
                if use.result is None:
                    raise CannotTranslateError(f"messages.{use.index}: the tool call {name[:64]!r} has no result")
        self._close()

    def _close(self) -> None:
        while self._turns and not self._end_speakably(self._turns[-1]):
            self._turns.pop()
        if not self._turns:  # instructions alone are what the user says
            self._turns, self.system = [_Turn("user", blocks=self.system)], []
        if not self._turns[0].blocks and not self._turns[0].results:
            raise CannotTranslateError("messages: there is nothing but white space")
        if self._turns[0].role == "assistant":
            self._turns.insert(0, _Turn("user", blocks=[{"type": "text", "text": BEGIN}]))

    def _end_speakably(self, last: _Turn) -> bool:
        """Take from the end of the chat what the API refuses there in the assistant's words: thoughts, and white space. Whether
        anything remains.
        """
        if last.role == "assistant":
            while last.blocks and last.blocks[-1]["type"] in THOUGHTS:
                last.blocks.pop()
            if last.blocks and last.blocks[-1]["type"] == "text":
                last.blocks[-1]["text"] = last.blocks[-1]["text"].rstrip()
        return bool(last.blocks or last.results)

    @property
    def ends_with_assistant(self) -> bool:
        return self._turns[-1].role == "assistant"

    def end_with_user(self) -> None:
        self._turns.append(_Turn("user", blocks=[{"type": "text", "text": CONTINUE}]))

    @property
    def lost_its_thoughts(self) -> bool:
        """Whether the last turn of the assistant uses tools and does not begin with its thoughts: no thinking with a budget can
        go on from there.
        """
        for turn in reversed(self._turns):
            if turn.role == "assistant":
                uses = any(block["type"] == "tool_use" for block in turn.blocks)
                return uses and turn.blocks[0]["type"] not in THOUGHTS
        return False

    def messages(self) -> list[dict[str, Any]]:
        return [{"role": turn.role, "content": turn.results + turn.blocks} for turn in self._turns]

    def _add(self, message: dict[str, Any], index: int) -> None:
        role = message["role"]
        if role == "tool":
            return self._add_result(message)
        if role == "user":
            blocks = blocks_of(message["content"])
        elif role in ("system", "developer"):
            blocks = text_blocks(message.get("content"))
        elif role == "assistant":
            blocks = _assistant(message)
        else:
            raise CannotTranslateError(f"role {role!r} is not known; use system, user, assistant or tool")
        mark = cache_mark(message)
        if mark and blocks and blocks[-1]["type"] not in THOUGHTS:
            blocks[-1] = blocks[-1] | mark
        if role in ("system", "developer"):
            self.system += blocks
        elif blocks:
            self._add_blocks(role, blocks, index)
        return None

    def _add_blocks(self, role: str, blocks: list[Block], index: int) -> None:
        if not self._turns or self._turns[-1].role != role:
            self._turns.append(_Turn(role))
        self._turns[-1].blocks += blocks
        used = [block for block in blocks if block["type"] == "tool_use"]
        if not used:
            return
        answers = _Turn("user")
        self._turns.append(answers)
        for block in used:
            before = self._uses.setdefault(block["id"], [])
            use = _Use(nth_id(block["id"], len(before) + 1), answers, index)
            before.append(use)
            block["id"], block["name"] = use.id, legal_name(block["name"])
            self.tool_names[block["name"]] = None

    def _add_result(self, message: dict[str, Any]) -> None:
        uses = self._uses.get(message["tool_call_id"])
        if not uses:
            raise CannotTranslateError(f"a result of no tool call before it: {message['tool_call_id'][:64]!r}")
        use = next((each for each in uses if each.result is None), uses[-1])
        content = blocks_of(message.get("content"))
        if use.result is None:
            use.result = {"type": "tool_result", "tool_use_id": use.id}
            use.turn.results.append(use.result)
        use.result |= cache_mark(message)
        if content:  # a second result of the same call goes on from the first: each may have one
            use.result["content"] = [*use.result.get("content", ()), *content]


def _assistant(message: dict[str, Any]) -> list[Block]:
    calls = message.get("tool_calls") or ()
    blocks = returned_blocks(message)
    if blocks is None:
        blocks = _thoughts(message.get("thinking_blocks"))
        blocks += blocks_of(message.get("content"), _assistant_part)
        if isinstance(refusal := message.get("refusal"), str) and refusal.strip():
            blocks.append({"type": "text", "text": refusal})
        blocks += [_tool_use(call) for call in calls]
    return blocks


def _assistant_part(part: dict[str, Any]) -> Block | None:
    if part["type"] in THOUGHTS:
        blocks = _thoughts([part])
        return blocks[0] if blocks else None
    blocks = text_blocks([part])
    return blocks[0] if blocks else None


def _thoughts(given: Any) -> list[Block]:
    """Thoughts as the API gave them. Without its signature it takes none."""
    blocks = []
    for block in given or ():
        if block["type"] == "thinking" and isinstance(block.get("signature"), str) and block["signature"]:
            thought = block.get("thinking")
            thought = thought if isinstance(thought, str) else ""
            blocks.append({"type": "thinking", "thinking": thought, "signature": block["signature"]})
        elif block["type"] == "redacted_thinking" and isinstance(block.get("data"), str):
            blocks.append({"type": "redacted_thinking", "data": block["data"]})
    return blocks


def _tool_use(call: dict[str, Any]) -> Block:
    function = call["function"]
    name, call_id = function["name"], call["id"]
    if not (isinstance(name, str) and isinstance(call_id, str)):
        raise TypeError
    block = {"type": "tool_use", "id": call_id, "name": name, "input": _arguments(function.get("arguments"))}
    return block | cache_mark(call)


def _arguments(text: Any) -> dict[str, Any]:
    """What a model wrote as arguments need not be JSON: then it is the one argument `arguments`, so that the chat goes on."""
    if isinstance(text, dict):
        return text
    if not isinstance(text, str | None):
        raise TypeError
    try:
        parsed = orjson.loads(text) if text and text.strip() else {}
    except orjson.JSONDecodeError:
        parsed = text
    return parsed if isinstance(parsed, dict) else {} if parsed is None else {"arguments": parsed}
