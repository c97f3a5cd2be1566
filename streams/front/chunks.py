"""A whole chat completion as the chunks of a stream, for clients that asked for one. Pure.

The fleet answers with whole completions; a client that wants a stream gets the content in one chunk, after one with the role.
Source of the shape: https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

DONE: Final = b"data: [DONE]\n\n"
_OF_THE_END: Final = ("native_finish_reason", "stop_reason")
"""Fields of a choice, of some servers, that say more about why it ended."""


def event(data: bytes) -> bytes:
    """One server-sent event. `data` is JSON, which has no line breaks."""
    return b"data: " + data + b"\n\n"


def completion_chunks(completion: Mapping[str, Any], *, tells_usage: bool) -> Iterator[bytes]:
    """The chunks as events; then the end."""
    for chunk in chunk_objects(completion, tells_usage=tells_usage):
        yield event(orjson.dumps(chunk))
    yield DONE


def chunk_objects(completion: Mapping[str, Any], *, tells_usage: bool) -> Iterator[dict[str, Any]]:
    """Chunks for every choice: role, content, finish reason; then the usage, where it is wanted."""
    shared = {name: completion[name] for name in ("id", "created", "model", "system_fingerprint") if name in completion}
    shared["object"] = "chat.completion.chunk"
    if tells_usage:
        shared["usage"] = None
    choices = completion.get("choices")
    for choice in choices if isinstance(choices, list) else []:
        for delta, finish_reason in _deltas(choice):
            part = {"index": choice.get("index", 0), "delta": delta, "finish_reason": finish_reason, "logprobs": None}
            if finish_reason is not None:
                part |= {name: choice[name] for name in _OF_THE_END if choice.get(name) is not None}
            if delta and "logprobs" in choice and "role" not in delta:
                part["logprobs"] = choice["logprobs"]
            yield {**shared, "choices": [part]}
    if tells_usage:
        yield {**shared, "choices": [], "usage": completion.get("usage")}


def _deltas(choice: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], str | None]]:
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    yield {"role": message.get("role", "assistant"), "content": ""}, None
    delta = {name: value for name, value in message.items() if name != "role" and value is not None}
    if "tool_calls" in delta and isinstance(delta["tool_calls"], list):
        delta["tool_calls"] = [
            {"index": index, **call} if isinstance(call, dict) else call
            for index, call in enumerate(delta["tool_calls"])
        ]
    if delta:
        yield delta, None
    yield {}, choice.get("finish_reason") or "stop"
