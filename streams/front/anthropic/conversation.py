"""The messages of a Messages request as those of a chat completion. Pure.

There, results of tools are messages of their own which hold text alone, so images of a result follow in a user's message.
Blocks: https://docs.claude.com/en/api/messages. Messages: https://platform.openai.com/docs/api-reference/chat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from streams.front.problems import ProblemError, invalid
from streams.providers.formats.anthropic.parts import THOUGHTS, cache_mark
from streams.providers.formats.anthropic.thinking import CONTENT_FIELD

Part = dict[str, Any]

_SEE_IMAGES: Final = "(see the images that follow)"
_ORDER: Final[Mapping[str, int]] = {"text": 1, "tool_use": 2} | dict.fromkeys(THOUGHTS, 0)
"""The order of an assistant's blocks that a chat completion's message says by itself."""


def chat_messages(system: Any, messages: Sequence[Any], *, native: bool) -> list[dict[str, Any]]:
    """`native`: for a model of Anthropic's own, marks for the prompt cache and signed thoughts travel along.

    Raises ProblemError, naming the message, for what is none of the API's.
    """
    found: list[dict[str, Any]] = []
    try:
        if system:
            found.append({"role": "system", "content": _content(_texts(system, native=native))})
    except (KeyError, TypeError, AttributeError):
        raise ProblemError(invalid("system: a text or a list of text blocks", param="system")) from None
    for index, message in enumerate(messages):
        where = f"messages.{index}"
        try:
            found += _message(message, native=native)
        except ProblemError as error:
            raise ProblemError(invalid(f"{where}: {error}", param=where)) from None
        except (KeyError, TypeError, AttributeError):
            raise ProblemError(invalid(f"{where}: not a message of the Messages API", param=where)) from None
    return found


def _message(message: dict[str, Any], *, native: bool) -> list[dict[str, Any]]:
    role, content = message["role"], message["content"]
    if role == "assistant":
        return [_assistant(_blocks(content), native=native)]
    if role == "system":
        return [{"role": "system", "content": _content(_texts(content, native=native))}]
    if role != "user":
        raise ProblemError(invalid(f"role {str(role)[:40]!r} is not user or assistant"))
    results: list[dict[str, Any]] = []
    images: list[Part] = []
    parts: list[Part] = []
    for block in _blocks(content):
        if block["type"] == "tool_result":
            result, shown = _tool_result(block, native=native)
            results.append(result)
            images += shown
        else:
            parts.append(_part(block, native=native))
    parts = images + parts
    return [*results, {"role": "user", "content": _content(parts)}] if parts or not results else results


def _blocks(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list):
        raise TypeError
    return content


def _content(parts: list[Part]) -> str | list[Part]:
    """One text without a mark is a text: every server takes that."""
    if all(part.keys() == {"type", "text"} for part in parts) and len(parts) <= 1:
        return parts[0]["text"] if parts else ""
    return parts


def _texts(content: Any, *, native: bool) -> list[Part]:
    parts = [_part(block, native=native) for block in _blocks(content)]
    if any(part["type"] != "text" for part in parts):
        raise TypeError
    return parts


def _text(block: Mapping[str, Any]) -> str:
    text = block["text"]
    if not isinstance(text, str):
        raise TypeError
    return text


def _part(block: dict[str, Any], *, native: bool) -> Part:
    kind = block["type"]
    mark = cache_mark(block) if native else {}
    if kind == "text":
        return {"type": "text", "text": _text(block)} | mark
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": _url(block["source"])}} | mark
    if kind == "document":
        return _document(block, native=native) | mark
    if native and isinstance(kind, str):
        return block
    raise ProblemError(invalid(f"a block of type {str(kind)[:40]!r} is not known for this model"))


def _url(source: Mapping[str, Any]) -> str:
    if source["type"] == "base64":
        media_type, data = source["media_type"], source["data"]
        if not isinstance(media_type, str) or not isinstance(data, str):
            raise TypeError
        return f"data:{media_type};base64,{data}"
    if source["type"] == "url" and isinstance(source["url"], str):
        return source["url"]
    raise ProblemError(invalid(f"a source of type {str(source['type'])[:40]!r} is not known: use base64 or url"))


def _document(block: dict[str, Any], *, native: bool) -> Part:
    if native:
        return block
    source = block["source"]
    if source["type"] == "text" and isinstance(source["data"], str):
        return {"type": "text", "text": source["data"]}
    if source["type"] == "content":
        return {"type": "text", "text": "\n\n".join(_text(each) for each in _blocks(source["content"]))}
    if source["type"] != "base64":
        raise ProblemError(invalid("a document for this model must come with its data: as base64 or text"))
    return {"type": "file", "file": {"filename": block.get("title") or "document.pdf", "file_data": _url(source)}}


def _tool_result(block: dict[str, Any], *, native: bool) -> tuple[dict[str, Any], list[Part]]:
    tool_use_id = block["tool_use_id"]
    if not isinstance(tool_use_id, str):
        raise TypeError
    parts = [_part(each, native=native) for each in _blocks(block.get("content") or "")]
    shown = [part for part in parts if part["type"] != "text"]
    texts = [part["text"] for part in parts if part["type"] == "text"]
    text = "\n".join(texts) or (_SEE_IMAGES if shown else "")
    if block.get("is_error") is True and not text.lower().startswith("error"):
        text = f"error: {text}" if text else "error"
    mark = cache_mark(block) if native else {}
    return {"role": "tool", "tool_call_id": tool_use_id, "content": text} | mark, shown


def _assistant(blocks: list[dict[str, Any]], *, native: bool) -> dict[str, Any]:
    """Thoughts go back only to a model of Anthropic's own, which knows its signature; so does an unusual order."""
    texts, thoughts, calls = [], [], []
    last, plain = 0, True
    for block in blocks:
        kind = block["type"]
        if kind == "text":
            texts.append(_text(block))
        elif kind in THOUGHTS:
            thoughts.append(block)
        elif kind == "tool_use":
            calls.append(_call(block))
        elif not native:
            raise ProblemError(invalid(f"a block of type {str(kind)[:40]!r} is not known for this model"))
        place = _ORDER.get(kind, -1)
        plain, last = plain and last <= place, place
    message: dict[str, Any] = {"role": "assistant", "content": "".join(texts) if texts or not calls else None}
    if calls:
        message["tool_calls"] = calls
    if native and thoughts:
        message["thinking_blocks"] = thoughts
    if native and not plain:
        message[CONTENT_FIELD] = blocks
    marks = [mark for block in blocks if (mark := cache_mark(block))] if native else []
    return message | (marks[-1] if marks else {})


def _call(block: Mapping[str, Any]) -> dict[str, Any]:
    name, call_id, given = block["name"], block["id"], block["input"]
    if not isinstance(name, str) or not isinstance(call_id, str) or not isinstance(given, dict):
        raise TypeError
    arguments = orjson.dumps(given).decode()
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
