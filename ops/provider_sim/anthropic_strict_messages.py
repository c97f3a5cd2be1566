"""What the Messages API refuses in messages and their blocks. See `anthropic_strict`.

Roles need not alternate: messages of one role that follow each other are one turn (https://docs.claude.com/en/api/messages).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ops.provider_sim.answers import BadRequestError

_ID: Final = re.compile(r"[a-zA-Z0-9_-]+")
_TOOL_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,200}")
_THOUGHTS: Final = ("thinking", "redacted_thinking")
_IMAGES: Final = {
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/png": (b"\x89PNG",),
    "image/gif": (b"GIF8",),
    "image/webp": (b"RIFF",),
}
_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "text": frozenset({"text", "cache_control", "citations"}),
    "image": frozenset({"source", "cache_control"}),
    "document": frozenset({"source", "cache_control", "citations", "context", "title"}),
    "search_result": frozenset({"content", "source", "title", "cache_control", "citations"}),
    "container_upload": frozenset({"file_id", "cache_control"}),
    "thinking": frozenset({"thinking", "signature"}),
    "redacted_thinking": frozenset({"data"}),
    "tool_use": frozenset({"id", "name", "input", "cache_control", "caller"}),
    "tool_result": frozenset({"tool_use_id", "content", "is_error", "cache_control"}),
    "server_tool_use": frozenset({"id", "name", "input", "cache_control", "caller"}),
    "web_search_tool_result": frozenset({"tool_use_id", "content", "cache_control", "caller"}),
}
_OF_USER: Final = frozenset({"text", "image", "document", "search_result", "container_upload", "tool_result"})
_OF_ASSISTANT: Final = frozenset(
    {"text", "thinking", "redacted_thinking", "tool_use", "server_tool_use", "web_search_tool_result"}
)
_IN_RESULTS: Final = frozenset({"text", "image", "document", "search_result"})


def check_messages(body: Mapping[str, Any], *, prefill: bool) -> None:
    """Raise BadRequestError. `prefill`: whether the model goes on from the assistant's last words."""
    messages = [
        (message.get("role"), _checked_blocks(message, index)) for index, message in enumerate(body["messages"])
    ]
    if messages[0][0] != "user":
        raise BadRequestError('messages: first message must use the "user" role')
    used = _check_tool_pairs(messages)
    if used and not body.get("tools"):
        raise BadRequestError("Requests which include `tool_use` or `tool_result` blocks must define tools")
    _check_end(body, messages, prefill)
    if body.get("thinking", {}).get("type") == "enabled":
        _check_thoughts(messages)


def check_text_blocks(content: Any, where: str) -> None:
    """A system prompt: a text, or text blocks, none of them empty."""
    blocks = [{"type": "text", "text": content}] if type(content) is str else content
    if type(blocks) is not list:
        raise BadRequestError(f"{where}: Input should be a valid list")
    for index, block in enumerate(blocks):
        _check_block(block, f"{where}.{index}", where, frozenset({"text"}))


def _checked_blocks(message: Any, index: int) -> list[dict[str, Any]]:
    where = f"messages.{index}"
    if type(message) is not dict or message.get("role") not in ("user", "assistant"):
        raise BadRequestError(f"{where}.role: Input should be 'user' or 'assistant'")
    for name in message.keys() - {"role", "content"}:
        raise BadRequestError(f"{where}.{name}: Extra inputs are not permitted")
    content = message.get("content")
    if type(content) is str:
        if not content and message["role"] == "assistant":
            return []
        content = [{"type": "text", "text": content}] if content else []
    if type(content) is not list:
        raise BadRequestError(f"{where}.content: Input should be a valid list")
    if not content and message["role"] == "user":
        raise BadRequestError(f"{where}: user messages must have non-empty content")
    kinds = _OF_USER if message["role"] == "user" else _OF_ASSISTANT
    for place, block in enumerate(content):
        _check_block(block, f"{where}.content.{place}", "messages", kinds)
    return content


def _check_block(block: Any, where: str, whole: str, kinds: frozenset[str]) -> None:
    kind = block.get("type") if type(block) is dict else None
    if kind not in kinds:
        raise BadRequestError(f"{where}: Input tag '{kind}' found using 'type' does not match any of the expected tags")
    for name in block.keys() - _FIELDS[kind] - {"type"}:
        raise BadRequestError(f"{where}.{kind}.{name}: Extra inputs are not permitted")  # anthropics/claude-code#4378
    if kind == "text":
        _check_text(block, where, whole)
    elif kind in ("image", "document"):
        _check_source(block, f"{where}.{kind}.source")
    elif kind == "thinking" and not (type(block.get("signature")) is str and block["signature"]):
        raise BadRequestError(f"{where}.thinking.signature: Field required")
    elif kind == "redacted_thinking" and type(block.get("data")) is not str:
        raise BadRequestError(f"{where}.redacted_thinking.data: Field required")
    elif kind == "tool_use":
        _check_pattern(block.get("id"), f"{where}.tool_use.id", _ID)
        _check_pattern(block.get("name"), f"{where}.tool_use.name", _TOOL_NAME)
        if type(block.get("input")) is not dict:
            raise BadRequestError(f"{where}.tool_use.input: Input should be a valid dictionary")
    elif kind == "tool_result":
        _check_pattern(block.get("tool_use_id"), f"{where}.tool_result.tool_use_id", _ID)
        inner = block.get("content", [])
        inner = [{"type": "text", "text": inner}] if type(inner) is str and inner else inner or []
        for place, each in enumerate(inner):
            _check_block(each, f"{where}.tool_result.content.{place}", whole, _IN_RESULTS)


def _check_text(block: Mapping[str, Any], where: str, whole: str) -> None:
    text = block.get("text")
    if type(text) is not str:
        raise BadRequestError(f"{where}.text.text: Field required")
    if not text and "cache_control" in block:  # vercel/eve#2753
        raise BadRequestError(f"{where}.text: cache_control cannot be set for empty text blocks")
    if not text:
        raise BadRequestError(f"{whole}: text content blocks must be non-empty")
    if not text.strip():  # home-assistant/core#175637
        raise BadRequestError(f"{whole}: text content blocks must contain non-whitespace text")


def _check_pattern(value: Any, where: str, pattern: re.Pattern[str]) -> None:
    """maximhq/bifrost#5097, langchain-ai/langchain#37756."""
    if type(value) is not str or not pattern.fullmatch(value):
        raise BadRequestError(f"{where}: String should match pattern '^{pattern.pattern}$'")


def _check_source(block: Mapping[str, Any], where: str) -> None:
    source = block.get("source")
    if type(source) is not dict:
        raise BadRequestError(f"{where}: Field required")
    kind = source.get("type")
    if kind == "url":
        if not str(source.get("url")).startswith("https://"):
            raise BadRequestError(f"{where}.url: Only HTTPS URLs are supported.")
    elif kind == "text" and block["type"] == "document":
        if source.get("media_type") != "text/plain" or not str(source.get("data", "")).strip():
            raise BadRequestError(f"{where}.text: a plain text document needs its text")
    elif kind == "base64":
        _check_data(block["type"], source, f"{where}.base64")
    elif kind not in ("file", "content"):
        raise BadRequestError(f"{where}: Input tag '{kind}' found using 'type' does not match any of the expected tags")


def _check_data(kind: str, source: Mapping[str, Any], where: str) -> None:
    media_type = source.get("media_type")
    if kind == "document" and media_type != "application/pdf":
        raise BadRequestError(f"{where}.media_type: Input should be 'application/pdf'")
    if kind == "image" and media_type not in _IMAGES:  # NousResearch/hermes-agent#55432
        raise BadRequestError(
            f"{where}.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'"
        )
    try:
        data = base64.b64decode(source.get("data") or "", validate=True)
    except (binascii.Error, ValueError, TypeError):
        data = b""
    if not data:
        raise BadRequestError(f"{where}: invalid base64 data")
    looks_like = next((each for each, begins in _IMAGES.items() if data.startswith(begins)), media_type)
    if looks_like != media_type:  # anthropics/claude-code#15746
        raise BadRequestError(f"{where}.data: Image does not match the provided media type {media_type}")


def _check_tool_pairs(messages: list[tuple[Any, list[dict[str, Any]]]]) -> bool:
    """Each use has its one result in the run of results that begins the user's turn after it. Whether there are any.

    anthropics/claude-code#8210, trycua/cua#524, vectorize-io/hindsight#4250, anthropics/claude-code#18947.
    """
    seen: set[str] = set()
    open_ids: list[str] = []
    answered: set[str] = set()
    in_run = False
    for place, block, role in _flat(messages):
        kind = block["type"]
        if role == "user" and kind == "tool_result":
            found = block["tool_use_id"]
            if found in answered:
                raise BadRequestError(
                    f"{place}: each tool_use must have a single result. Found multiple `tool_result` blocks with id: {found}"
                )
            if in_run and found in open_ids:
                open_ids.remove(found)
                answered.add(found)
                continue
            raise BadRequestError(
                f"{place}: unexpected `tool_use_id` found in `tool_result` blocks: {found}. Each `tool_result` block must have a "
                "corresponding `tool_use` block in the previous message."
            )
        if role == "user":
            in_run = False
        if open_ids and (role == "user" or answered):
            _refuse_unanswered(place, open_ids)
        if kind == "tool_use":
            if block["id"] in seen:
                raise BadRequestError(f"{place}: `tool_use` ids must be unique")
            seen.add(block["id"])
            open_ids.append(block["id"])
            answered, in_run = set(), True
    if open_ids:
        _refuse_unanswered(f"messages.{len(messages) - 1}", open_ids)
    return bool(seen)


def _flat(messages: list[tuple[Any, list[dict[str, Any]]]]) -> Iterator[tuple[str, dict[str, Any], Any]]:
    for index, (role, blocks) in enumerate(messages):
        for place, block in enumerate(blocks):
            yield f"messages.{index}.content.{place}", block, role


def _refuse_unanswered(place: str, ids: list[str]) -> None:
    raise BadRequestError(
        f"{place}: `tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(ids)}. Each `tool_use` "
        "block must have a corresponding `tool_result` block in the next message."
    )


def _check_end(body: Mapping[str, Any], messages: list[tuple[Any, list[dict[str, Any]]]], prefill: bool) -> None:
    role, blocks = messages[-1]
    if role != "assistant":
        return
    if not prefill:  # vercel/ai#12296
        raise BadRequestError(
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )
    if blocks and blocks[-1]["type"] in _THOUGHTS:
        raise BadRequestError(
            f"messages.{len(messages) - 1}: The final block in an assistant message cannot be `{blocks[-1]['type']}`."
        )
    if blocks and blocks[-1]["type"] == "text" and blocks[-1]["text"] != blocks[-1]["text"].rstrip():
        raise BadRequestError(
            "messages: final assistant content cannot end with trailing whitespace"
        )  # tailcallhq/forgecode#1872
    if body.get("thinking", {}).get("type") in ("enabled", "adaptive"):
        raise BadRequestError("messages: assistant message prefill is not supported when thinking is enabled")
    if "format" in body.get("output_config", {}):
        raise BadRequestError("messages: assistant message prefill is not supported with an output format")


def _check_thoughts(messages: list[tuple[Any, list[dict[str, Any]]]]) -> None:
    """anomalyco/opencode#3077, openai/openai-agents-python#1704."""
    for index in range(len(messages) - 1, -1, -1):
        role, blocks = messages[index]
        if role != "assistant":
            continue
        if any(block["type"] == "tool_use" for block in blocks) and blocks[0]["type"] not in _THOUGHTS:
            raise BadRequestError(
                f"messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{blocks[0]['type']}`. "
                "When `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the "
                "lastmost set of `tool_use` and `tool_result` blocks)."
            )
        return
