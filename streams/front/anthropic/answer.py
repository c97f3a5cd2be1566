"""A chat completion as a message of the Messages API. Pure.

Message: https://docs.claude.com/en/api/messages. Stop reasons: https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from streams.providers.formats.anthropic.names import original_name
from streams.providers.formats.anthropic.thinking import CONTENT_FIELD
from streams.providers.formats.wire import cached_tokens_of, tokens, usage_of

_STOP: Final[Mapping[str, str]] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
_OWN: Final = frozenset(
    {"end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal", "model_context_window_exceeded"}
)
"""Stop reasons that an upstream of Anthropic's own says itself."""

REASONING_FIELDS: Final = ("reasoning_content", "reasoning")
"""Where servers of the OpenAI format put the thoughts: DeepSeek and vLLM in the first, OpenRouter in the second."""


def message_of(completion: Mapping[str, Any], message_id: str) -> dict[str, Any]:
    """The first choice, as a message of this id. What is no text where a text should be is left out."""
    choices = completion.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    said = choice.get("message")
    blocks = content_blocks(said if isinstance(said, dict) else {})
    used = any(block.get("type") == "tool_use" for block in blocks)
    reason, sequence = stop_of(choice, uses_tool=used)
    return {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": completion.get("model"),
        "content": blocks,
        "stop_reason": reason,
        "stop_sequence": sequence,
        "usage": message_usage(completion.get("usage")),
    }


def content_blocks(said: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The blocks of a completion's message: as they came, where it holds them, else thoughts, text, uses of tools."""
    kept = said.get(CONTENT_FIELD)
    if isinstance(kept, list) and all(isinstance(block, dict) for block in kept):
        return [_with_own_name(block) for block in kept]
    blocks = thoughts_of(said)
    for name in ("content", "refusal"):
        if isinstance(text := said.get(name), str) and text:
            blocks.append({"type": "text", "text": text})
    calls = said.get("tool_calls")
    for number, call in enumerate(calls if isinstance(calls, list) else ()):
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            given = parsed_input(function.get("arguments"))
            call_id = call.get("id") or f"toolu_{number}"
            blocks.append({"type": "tool_use", "id": call_id, "name": function.get("name") or "", "input": given})
    return blocks


def _with_own_name(block: dict[str, Any]) -> dict[str, Any]:
    name = block.get("name")
    return block | {"name": original_name(name)} if block.get("type") == "tool_use" and isinstance(name, str) else block


def thoughts_of(said: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Signed thoughts as they came; of others their text, without a signature."""
    kept = said.get("thinking_blocks")
    if isinstance(kept, list) and kept and all(isinstance(block, dict) for block in kept):
        return [{"signature": "", **block} if block.get("type") == "thinking" else block for block in kept]
    for name in REASONING_FIELDS:
        if isinstance(text := said.get(name), str) and text:
            return [{"type": "thinking", "thinking": text, "signature": ""}]
    return []


def parsed_input(arguments: Any) -> dict[str, Any]:
    """What a model wrote as arguments need not be a JSON object: then it is the one argument `arguments`."""
    if isinstance(arguments, dict):
        return arguments
    if not isinstance(arguments, str) or not arguments.strip():
        return {}
    try:
        parsed = orjson.loads(arguments)
    except ValueError:
        parsed = arguments
    return parsed if isinstance(parsed, dict) else {"arguments": parsed}


def stop_of(choice: Mapping[str, Any], *, uses_tool: bool) -> tuple[str, str | None]:
    """Why a choice, or the last chunk of one, ended, and at which of the caller's stop sequences, where the server says so:
    vLLM does in `stop_reason`, for which OpenAI has no field.
    """
    native, finish = choice.get("native_finish_reason"), choice.get("finish_reason")
    sequence = choice.get("stop_reason")
    if isinstance(native, str) and native in _OWN:
        return native, None
    if uses_tool and finish in ("stop", "tool_calls", "function_call", None):
        return "tool_use", None
    if finish == "stop" and isinstance(sequence, str) and sequence not in _OWN:
        return "stop_sequence", sequence
    return (_STOP.get(finish, "end_turn") if isinstance(finish, str) else "end_turn"), None


def message_usage(stated: Any) -> dict[str, Any]:
    """The API counts what its prompt cache had apart from `input_tokens`."""
    usage = usage_of(stated)
    read = cached_tokens_of(stated, usage)
    details = stated.get("prompt_tokens_details") if isinstance(stated, dict) else None
    made = tokens(details.get("cache_creation_tokens")) if isinstance(details, dict) else 0
    made = min(made, usage.prompt_tokens - read)
    return {
        "input_tokens": usage.prompt_tokens - read - made,
        "cache_creation_input_tokens": made,
        "cache_read_input_tokens": read,
        "output_tokens": usage.completion_tokens,
    }
