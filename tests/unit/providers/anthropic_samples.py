"""What is sent to the Messages API for a chat, checked by the strict emulation, and the messages that the tests write again and
again.
"""

from __future__ import annotations

from typing import Any

import orjson

from ops.provider_sim.anthropic_strict import check_strictly
from schemas.request import Request
from streams.providers.formats.anthropic.format import AnthropicFormat

FORMAT = AnthropicFormat(now=lambda: 0.0)
USER = {"role": "user", "content": "hi"}
MARK = {"cache_control": {"type": "ephemeral"}}
LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


def sent(*messages: dict[str, Any], model: str = "claude-sonnet-4-5", **more: Any) -> Any:
    """What is sent. The strict emulation takes it."""
    request = Request(payload={"model": model, "messages": list(messages or [USER]), **more})
    body = orjson.loads(FORMAT.encode(request, stream=False))
    check_strictly({"anthropic-beta": "context-management-2025-06-27"}, body)
    return body


def call(call_id: str, name: str = "look", arguments: str = "{}") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def uses(*calls: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(calls)} | more


def result(call_id: str, content: Any = "r", **more: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content} | more
