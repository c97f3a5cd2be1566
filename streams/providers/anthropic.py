"""The Anthropic Messages format, translated from and to the OpenAI format that requests and answers have here. Pure.

Formats: https://docs.claude.com/en/api/messages, https://platform.openai.com/docs/api-reference/chat.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from schemas.request import Operation, Request
from schemas.response import Usage
from streams.providers.anthropic_messages import translate_messages
from streams.providers.anthropic_stream import AnthropicAssembler
from streams.providers.error_bodies import read_error
from streams.providers.failures import failure_of
from streams.providers.wire import Answer, Asked, CannotTranslateError, Failure, broken, parse, tokens

VERSION: Final = "2023-06-01"
"""Of the API, in every call: https://docs.claude.com/en/api/versioning."""

DEFAULT_MAX_TOKENS: Final = 4096
"""Of an answer whose request sets no bound: the format demands one."""

_TRANSLATED: Final = frozenset(
    {"messages", "max_tokens", "max_completion_tokens", "stop", "temperature", "user", "tools", "tool_choice"}
    | {"parallel_tool_calls", "stream", "stream_options", "response_format"}
)
_DROPPED: Final = frozenset(
    {"seed", "presence_penalty", "frequency_penalty", "store", "reasoning_effort", "verbosity", "prediction", "n"}
    | {"prompt_cache_key", "safety_identifier", "logprobs", "top_logprobs", "logit_bias", "modalities"}
)
"""What the format does not know and what changes nothing that a caller may rely on, as far as it gets this far."""

_FINISH: Final[Mapping[str, str]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class AnthropicFormat:
    """`now` gives Unix seconds, for the answer's `created`."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now

    def path(self, operation: Operation) -> str | None:
        return "/messages" if operation == "chat.completions" else None

    def headers(self, api_key: str | None) -> Mapping[str, str]:
        version = {"anthropic-version": VERSION}
        return version if api_key is None else version | {"x-api-key": api_key}

    def encode(self, request: Request, *, stream: bool) -> bytes:
        return orjson.dumps(translate_request(request.payload) | ({"stream": True} if stream else {}))

    def decode(self, asked: Asked, status: int, body: bytes, headers: Mapping[str, str]) -> Answer | Failure:
        if not 200 <= status < 300:
            return failure_of(status, read_error(body), headers)
        found = parse(body)
        return found if isinstance(found, Failure) else translate_answer(found, int(self._now()))

    def assembler(self, asked: Asked) -> AnthropicAssembler:
        return AnthropicAssembler(lambda message: translate_answer(message, int(self._now())))


def translate_request(payload: Mapping[str, Any]) -> dict[str, Any]:
    """A chat completion's request as a Messages request. Fields of neither format pass through: they are meant for it.

    Raises CannotTranslateError for what would be lost with a difference to the answer.
    """
    _refuse_what_is_lost(payload)
    system, messages = translate_messages(payload["messages"])
    found = {name: value for name, value in payload.items() if name not in _TRANSLATED and name not in _DROPPED}
    limit = payload.get("max_completion_tokens") or payload.get("max_tokens")
    found |= {"messages": messages, "max_tokens": limit or DEFAULT_MAX_TOKENS}
    if system:
        found["system"] = system
    if (stop := payload.get("stop")) is not None:
        found["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    if (temperature := payload.get("temperature")) is not None:
        found["temperature"] = min(temperature, 1.0) if isinstance(temperature, (int, float)) else temperature
    if isinstance(user := payload.get("user"), str):
        found.setdefault("metadata", {"user_id": user})
    if tools := payload.get("tools"):
        found["tools"] = [_tool(tool) for tool in tools]
        choice = _tool_choice(payload.get("tool_choice"), one_at_a_time=payload.get("parallel_tool_calls") is False)
        if choice is not None:
            found["tool_choice"] = choice
    return found


def translate_answer(found: Mapping[str, Any], created: int) -> Answer | Failure:
    """A message as a chat completion, with its usage: the prompt's tokens include those of the provider's prompt cache."""
    try:
        blocks = found["content"]
        text = [block["text"] for block in blocks if block["type"] == "text"]
        thought = [block["thinking"] for block in blocks if block["type"] == "thinking"]
        calls = [_tool_call(block) for block in blocks if block["type"] == "tool_use"]
    except (KeyError, TypeError):
        return broken("the provider's answer is no message")
    message: dict[str, Any] = {"role": "assistant", "content": "".join(text) if text else None}
    if thought:
        message["reasoning_content"] = "".join(thought)
    if calls:
        message["tool_calls"] = calls
    usage, stated = _usage(found.get("usage"))
    reason = _FINISH.get(found.get("stop_reason") or "", "stop")
    whole = {
        "id": found.get("id"),
        "object": "chat.completion",
        "created": created,
        "model": found.get("model"),
        "choices": [{"index": 0, "message": message, "finish_reason": reason, "logprobs": None}],
        "usage": stated,
    }
    return Answer(orjson.dumps(whole), usage)


def _usage(found: Any) -> tuple[Usage, dict[str, Any]]:
    given = found if isinstance(found, dict) else {}
    read, made = tokens(given.get("cache_read_input_tokens")), tokens(given.get("cache_creation_input_tokens"))
    prompt = tokens(given.get("input_tokens")) + read + made
    completion = tokens(given.get("output_tokens"))
    stated = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    details = {"cached_tokens": read, "cache_creation_tokens": made}
    return Usage(prompt, completion, prompt + completion), stated | {"prompt_tokens_details": details}


def _tool_call(block: Mapping[str, Any]) -> dict[str, Any]:
    arguments = orjson.dumps(block["input"]).decode()
    return {"id": block["id"], "type": "function", "function": {"name": block["name"], "arguments": arguments}}


def _tool(tool: Any) -> dict[str, Any]:
    try:
        if tool["type"] != "function":
            return dict(tool)  # one of the provider's own, in its own words
        function = tool["function"]
        found = {"name": function["name"], "input_schema": function.get("parameters") or {"type": "object"}}
        return found | ({"description": function["description"]} if function.get("description") else {})
    except (KeyError, TypeError):
        raise CannotTranslateError("tools: each needs a type, and a function its name") from None


def _tool_choice(choice: Any, *, one_at_a_time: bool) -> dict[str, Any] | None:
    named = {"auto": {"type": "auto"}, "none": {"type": "none"}, "required": {"type": "any"}}
    if choice is None:
        found: dict[str, Any] | None = {"type": "auto"} if one_at_a_time else None
    elif isinstance(choice, str) and choice in named:
        found = dict(named[choice])
    else:
        try:
            found = {"type": "tool", "name": choice["function"]["name"]}
        except (KeyError, TypeError):
            raise CannotTranslateError("tool_choice: auto, none, required, or a function by name") from None
    if found is not None and one_at_a_time and found["type"] != "none":
        found["disable_parallel_tool_use"] = True
    return found


def _refuse_what_is_lost(payload: Mapping[str, Any]) -> None:
    form = payload.get("response_format")
    kind = form.get("type") if isinstance(form, dict) else None
    lost = {
        "response_format": kind not in (None, "text"),
        "n": payload.get("n") not in (None, 1),
        "logprobs": bool(payload.get("logprobs")),
        "logit_bias": bool(payload.get("logit_bias")),
        "modalities": payload.get("modalities") not in (None, ["text"]),
        "functions": "functions" in payload or "function_call" in payload,
    }
    for name, is_lost in lost.items():
        if is_lost:
            raise CannotTranslateError(f"{name}: the Anthropic format has nothing like it; leave it out")
