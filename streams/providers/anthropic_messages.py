"""The messages of a chat, from the OpenAI to the Anthropic format. Pure.

There, system prompts stand beside the messages, roles alternate between user and assistant, a tool's result is a part of the
user's next message, and a tool's arguments are an object instead of JSON in a string.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import orjson

from streams.providers.wire import CannotTranslateError

Block = dict[str, Any]

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,(.*)", re.DOTALL)


def translate_messages(messages: Sequence[Any]) -> tuple[list[Block], list[dict[str, Any]]]:
    """The system prompt's blocks, and the messages, those of one role that follow each other made one.

    Raises CannotTranslateError, naming the message.
    """
    system: list[Block] = []
    found: list[dict[str, Any]] = []
    for index, message in enumerate(messages):
        try:
            role = message["role"]
            if role in ("system", "developer"):
                system += _blocks(message.get("content"))
                continue
            blocks = _of_role(role, message)
        except CannotTranslateError as error:
            raise CannotTranslateError(f"messages.{index}: {error}") from None
        except (KeyError, TypeError, AttributeError, orjson.JSONDecodeError):
            raise CannotTranslateError(f"messages.{index}: not a message of the OpenAI format") from None
        role = "assistant" if role == "assistant" else "user"
        if found and found[-1]["role"] == role:
            found[-1]["content"] += blocks
        elif blocks:
            found.append({"role": role, "content": blocks})
    if not found:
        raise CannotTranslateError("messages: at least one must not be a system prompt")
    return system, found


def _of_role(role: str, message: dict[str, Any]) -> list[Block]:
    if role == "user":
        return _blocks(message["content"])
    if role == "assistant":
        return _assistant(message)
    if role == "tool":
        result = {"type": "tool_result", "tool_use_id": message["tool_call_id"]}
        content = _blocks(message.get("content"))
        return [result | ({"content": content} if content else {})]
    raise CannotTranslateError(f"role {role!r} is not known; use system, user, assistant or tool")


def _assistant(message: dict[str, Any]) -> list[Block]:
    blocks = _blocks(message.get("content"))
    if isinstance(refusal := message.get("refusal"), str) and refusal:
        blocks.append({"type": "text", "text": refusal})
    for call in message.get("tool_calls") or ():
        function = call["function"]
        arguments = orjson.loads(function.get("arguments") or "{}")
        if not isinstance(arguments, dict):
            raise CannotTranslateError("the arguments of a tool call must be a JSON object")
        blocks.append({"type": "tool_use", "id": call["id"], "name": function["name"], "input": arguments})
    return blocks


def _blocks(content: Any) -> list[Block]:
    """Empty texts are left out: the format refuses them."""
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [_part(part) for part in content if part.get("type") != "text" or part["text"]]


def _part(part: dict[str, Any]) -> Block:
    kind = part["type"]
    if kind == "text":
        return dict(part)  # with what else is in it, such as cache_control
    if kind == "refusal":
        return {"type": "text", "text": part["refusal"]}
    if kind == "image_url":
        return {"type": "image", "source": _source(part["image_url"]["url"])}
    if kind == "file" and isinstance(data := part["file"].get("file_data"), str):
        return {"type": "document", "source": _source(data)}
    raise CannotTranslateError(f"a part of type {kind!r} has no place in the Anthropic format")


def _source(url: str) -> dict[str, str]:
    inline = _DATA_URL.fullmatch(url)
    if inline is not None:
        return {"type": "base64", "media_type": inline[1], "data": inline[2]}
    if url.startswith(("http://", "https://")):
        return {"type": "url", "url": url}
    raise CannotTranslateError("an image or file must be a base64 data: URL or an http(s) URL")
