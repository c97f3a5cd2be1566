"""A message of the Messages API as a chat completion, or why it is none. Pure.

Message: https://docs.claude.com/en/api/messages. Stop reasons: https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from schemas.response import Usage
from streams.money.usage import billed_of
from streams.providers.formats.anthropic.names import original_name
from streams.providers.formats.anthropic.parts import THOUGHTS
from streams.providers.formats.anthropic.thinking import CONTENT_FIELD
from streams.providers.formats.json_body import encode
from streams.providers.formats.wire import Answer, Failure, tokens, unusable

_FINISH: Final[Mapping[str, str]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",  # the API's own tools have run for a while, and it wants to be asked to go on
    "refusal": "content_filter",
}
_WHOLE: Final = frozenset({"end_turn", "stop_sequence", "tool_use"})

_ORDER: Final[Mapping[str, int]] = {"thinking": 0, "redacted_thinking": 0, "text": 1, "tool_use": 2}
"""The order of blocks in which a chat completion's message is read back."""


def translate_answer(parsed: Mapping[str, Any], created: int) -> Answer | Failure:
    """`parsed`: a message that is no error.

    A message without content that ended its turn is a good one, by documentation: the model had nothing to add. One that does not
    say why it stopped is none, by documentation too: it is what a gateway makes of a stream that broke.
    """
    blocks, stopped = parsed.get("content"), parsed.get("stop_reason")
    if type(blocks) is not list:
        return unusable("the provider's answer is no message: it has no content")
    if type(stopped) is not str or not stopped:
        return unusable("the provider's answer does not say why it stopped")
    try:
        message = _message(blocks)
    except (KeyError, TypeError, AttributeError, ValueError):
        return unusable("the provider's answer is no message: a block of its content cannot be read")
    calls = "tool_calls" in message
    if stopped == "tool_use" and not (calls or CONTENT_FIELD in message):
        return unusable("the provider's answer uses a tool and does not say which")
    if stopped == "refusal" and (why := explanation_of(parsed.get("stop_details"))):
        message["refusal"] = why
    reason = finish_reason(stopped, calls=calls)
    usage, stated = usage_in_openai(parsed.get("usage"))
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": reason,
        "native_finish_reason": stopped,
        "logprobs": None,
    }
    whole = {
        "id": parsed.get("id"),
        "object": "chat.completion",
        "created": created,
        "model": parsed.get("model"),
        "choices": [choice],
        "usage": stated,
    }
    cached: int = stated["prompt_tokens_details"]["cached_tokens"]
    try:
        body = encode(whole)
    except ValueError:
        return unusable("the provider's answer is nested too deep")
    billed = billed_of(usage, stated)
    return Answer(body, usage, whole=stopped in _WHOLE, cached_tokens=cached, billed=billed)


def _message(blocks: list[dict[str, Any]]) -> dict[str, Any]:
    """`thinking_blocks` is the field that LiteLLM has for it, and its clients send back."""
    texts, thoughts, calls = [], [], []
    last, plain = 0, True
    for block in blocks:
        kind: str = block["type"]
        if kind == "text":
            texts.append(block.get("text") or "")
        elif kind in THOUGHTS:
            thoughts.append(_thought(block))
        elif kind == "tool_use":
            calls.append(_tool_call(block))
        place = _ORDER.get(kind, -1)
        plain = plain and last <= place and not block.get("citations") and not block.get("caller")
        last = place
    content = "".join(texts)
    message: dict[str, Any] = {"role": "assistant", "content": content if texts or not blocks else None}
    if thoughts:
        message["reasoning_content"] = "".join(block.get("thinking", "") for block in thoughts)
        message["thinking_blocks"] = thoughts
    if calls:
        message["tool_calls"] = calls
    if not plain:
        message[CONTENT_FIELD] = blocks
    return message


def _thought(block: Mapping[str, Any]) -> dict[str, Any]:
    if block["type"] == "redacted_thinking":
        return {"type": "redacted_thinking", "data": block["data"]}
    signature = block.get("signature")
    thought = {"type": "thinking", "thinking": block.get("thinking") or ""}
    return thought | ({"signature": signature} if signature else {})


def _tool_call(block: Mapping[str, Any]) -> dict[str, Any]:
    name, call_id, given = block["name"], block["id"], block.get("input")
    if type(name) is not str or type(call_id) is not str:
        raise TypeError
    arguments = given if type(given) is str else encode({} if given is None else given).decode()
    return {"id": call_id, "type": "function", "function": {"name": original_name(name), "arguments": arguments}}


def finish_reason(stopped: str, *, calls: bool) -> str:
    """OpenAI's word for why an answer ended; `calls`: it calls a tool."""
    return "tool_calls" if calls and stopped in _WHOLE else _FINISH.get(stopped, "stop")


def usage_in_openai(reported: Any) -> tuple[Usage, dict[str, Any]]:
    """The prompt's tokens are those of the API's three counts: it counts what its prompt cache had apart."""
    given = reported if isinstance(reported, dict) else {}
    read, made = tokens(given.get("cache_read_input_tokens")), tokens(given.get("cache_creation_input_tokens"))
    prompt = tokens(given.get("input_tokens")) + read + made
    completion = tokens(given.get("output_tokens"))
    stated: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": read, "cache_creation_tokens": made},
    }
    created = given.get("cache_creation")
    if isinstance(created, dict) and (hour := tokens(created.get("ephemeral_1h_input_tokens"))):
        stated["prompt_tokens_details"]["cache_creation_1h_tokens"] = hour
    if (tier := given.get("service_tier")) in ("batch", "priority"):
        stated["service_tier"] = tier
    details = given.get("output_tokens_details")
    if isinstance(details, dict) and (thought := tokens(details.get("thinking_tokens"))):
        stated["completion_tokens_details"] = {"reasoning_tokens": thought}
    return Usage(prompt, completion, prompt + completion), stated


def explanation_of(details: Any) -> str | None:
    """Why the model refused, where it says so."""
    explanation = details.get("explanation") if isinstance(details, dict) else None
    return explanation if isinstance(explanation, str) else None
