"""The input of a Responses request as the messages of a chat completion. Pure.

There, what a model did in one turn is one message; here it is an item each: thoughts, texts, calls of functions.
Items: https://platform.openai.com/docs/api-reference/responses/create#responses-create-input.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from streams.front.problems import ProblemError, invalid
from streams.front.responses.output import signed_thoughts

_ROLES: Final = frozenset({"user", "assistant", "system", "developer"})
_TEXTS: Final = frozenset({"input_text", "output_text", "text", "reasoning_text", "summary_text"})


def chat_messages(given: Any, *, native: bool) -> list[dict[str, Any]]:
    """`native`: for a model of Anthropic's own, signed thoughts go back. Raises ProblemError, naming the item."""
    if isinstance(given, str) and given:
        return [{"role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        raise ProblemError(invalid("input: a text or a list of items is required", param="input"))
    messages: list[dict[str, Any]] = []
    thoughts: list[dict[str, Any]] = []
    for index, item in enumerate(given):
        where = f"input.{index}"
        try:
            if item.get("type") == "reasoning":
                thoughts += signed_thoughts(item.get("encrypted_content")) if native else []
                continue
            message = _message(item)
        except ProblemError as error:
            raise ProblemError(invalid(f"{where}: {error}", param=where)) from None
        except (KeyError, TypeError, AttributeError):
            raise ProblemError(invalid(f"{where}: not an item of the Responses API", param=where)) from None
        if message["role"] == "assistant":
            if thoughts:
                message, thoughts = {**message, "thinking_blocks": thoughts}, []
            if "tool_calls" in message and messages and messages[-1]["role"] == "assistant":
                _join(messages[-1], message)
                continue
        messages.append(message)
    return messages


def _join(before: dict[str, Any], calls: dict[str, Any]) -> None:
    before["tool_calls"] = [*before.get("tool_calls", ()), *calls["tool_calls"]]
    if "thinking_blocks" in calls:
        before["thinking_blocks"] = [*before.get("thinking_blocks", ()), *calls["thinking_blocks"]]


def _message(item: dict[str, Any]) -> dict[str, Any]:
    kind = item.get("type", "message")
    if kind == "function_call":
        call_id, name, arguments = item["call_id"], item["name"], item["arguments"]
        if not all(isinstance(each, str) for each in (call_id, name, arguments)):
            raise TypeError
        call = {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    if kind == "function_call_output":
        if not isinstance(item["call_id"], str):
            raise TypeError
        return {"role": "tool", "tool_call_id": item["call_id"], "content": _output(item["output"])}
    if kind == "item_reference":
        raise ProblemError(invalid("items are not stored here by their id: send the item itself"))
    if kind != "message":
        raise ProblemError(invalid(f"an item of type {str(kind)[:40]!r} is not served here"))
    role = item["role"]
    if role not in _ROLES:
        raise ProblemError(invalid(f"role {str(role)[:40]!r} is not one of {', '.join(sorted(_ROLES))}"))
    return {"role": role, "content": _content(item["content"])}


def _output(given: Any) -> str | list[dict[str, Any]]:
    return _content(given) if isinstance(given, str | list) else orjson.dumps(given).decode()


def _content(content: Any) -> str | list[dict[str, Any]]:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise TypeError
    parts = [_part(part) for part in content]
    if len(parts) == 1 and parts[0]["type"] == "text":
        text: str = parts[0]["text"]
        return text
    return parts


def _part(part: dict[str, Any]) -> dict[str, Any]:
    kind = part["type"]
    if kind in _TEXTS or kind == "refusal":
        text = part["refusal" if kind == "refusal" else "text"]
        if not isinstance(text, str):
            raise TypeError
        return {"type": "text", "text": text}
    if kind == "input_image" and isinstance(part.get("image_url"), str):
        detail = {"detail": part["detail"]} if isinstance(part.get("detail"), str) else {}
        return {"type": "image_url", "image_url": {"url": part["image_url"]} | detail}
    if kind == "input_file" and isinstance(part.get("file_data"), str):
        return {"type": "file", "file": {name: part[name] for name in ("filename", "file_data") if part.get(name)}}
    if kind in ("input_image", "input_file"):
        raise ProblemError(invalid(f"{kind}: files are not stored here by their id: send the data"))
    raise ProblemError(invalid(f"a part of type {str(kind)[:40]!r} is not served here"))
