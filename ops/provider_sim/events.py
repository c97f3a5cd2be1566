"""A finished answer cut into server-sent events, about a token each, as the two formats stream it.

Formats: https://platform.openai.com/docs/api-reference/chat-streaming,
https://docs.claude.com/en/docs/build-with-claude/streaming.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from ops.provider_sim.answers import BYTES_PER_TOKEN

STREAM_TYPE = "text/event-stream"


def openai_events(answer: dict[str, Any], *, include_usage: bool) -> Iterator[bytes]:
    """The chunks of a chat completion. The first one holds the first token."""
    head = {name: answer[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    message, reason = answer["choices"][0]["message"], answer["choices"][0]["finish_reason"]

    def chunk(delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> bytes:
        return data(head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]} | more)

    if message["content"] is None:
        for call in message["tool_calls"]:
            named = {"index": 0, "id": call["id"], "type": "function"}
            yield chunk(
                {
                    "role": "assistant",
                    "tool_calls": [named | {"function": {"name": call["function"]["name"], "arguments": ""}}],
                }
            )
            for piece in pieces(call["function"]["arguments"]):
                yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
    else:
        role = {"role": "assistant"}
        for piece in pieces(message["content"]):
            yield chunk(role | {"content": piece})
            role = {}
    yield chunk({}, reason)
    if include_usage:
        yield data(head | {"choices": [], "usage": answer["usage"]})
    yield b"data: [DONE]\n\n"


def anthropic_events(answer: dict[str, Any]) -> Iterator[bytes]:
    """The events of a message. The first one tells of the message, the third one brings the first token."""
    usage = answer["usage"]
    begun = answer | {"content": [], "stop_reason": None, "usage": usage | {"output_tokens": 1}}
    yield event("message_start", message=begun)
    for index, block in enumerate(answer["content"]):
        if block["type"] == "text":
            yield event("content_block_start", index=index, content_block={"type": "text", "text": ""})
            deltas = [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
        else:
            yield event("content_block_start", index=index, content_block=block | {"input": {}})
            text = orjson.dumps(block["input"]).decode()
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces(text)]
        yield event("ping")
        for delta in deltas:
            yield event("content_block_delta", index=index, delta=delta)
        yield event("content_block_stop", index=index)
    ended = {"stop_reason": answer["stop_reason"], "stop_sequence": None}
    yield event("message_delta", delta=ended, usage={"output_tokens": usage["output_tokens"]})
    yield event("message_stop")


def pieces(text: str) -> Iterator[str]:
    for start in range(0, len(text), BYTES_PER_TOKEN):
        yield text[start : start + BYTES_PER_TOKEN]


def data(value: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


def event(kind: str, **more: Any) -> bytes:
    return f"event: {kind}\n".encode() + data({"type": kind} | more)
