"""Parts of a message's content - texts, images, files - as blocks of the Messages API. Pure.

Blocks: https://docs.claude.com/en/api/messages, https://docs.claude.com/en/docs/build-with-claude/vision.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import unquote, unquote_to_bytes

from streams.providers.formats.wire import CannotTranslateError

Block = dict[str, Any]

_IMAGES: Final[Mapping[str, str]] = {
    "image/jpeg": "image/jpeg",
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/png": "image/png",
    "image/x-png": "image/png",
    "image/gif": "image/gif",
    "image/webp": "image/webp",
}
"""Types of images that the API takes, and other names of them."""

THOUGHTS: Final = frozenset({"thinking", "redacted_thinking"})
"""Blocks that must go back as they came, and take no mark for the prompt cache."""

_NATIVE: Final = frozenset({"image", "document", "search_result", "container_upload"})
"""The API's own blocks, which a caller may write into a message on purpose."""


def text_blocks(content: Any) -> list[Block]:
    """The content of a system prompt or of the assistant: texts alone."""
    return blocks_of(content, _text_part)


def blocks_of(content: Any, part_block: Callable[[dict[str, Any]], Block | None] | None = None) -> list[Block]:
    """Blocks of a message's content: a text, a list of parts, or nothing. Texts of white space only are left out: the API refuses
    them. A mark for the prompt cache that stood on one goes to the block before it.

    Raises CannotTranslateError for a part that the API has no block for.
    """
    if content is None:
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content.strip() else []
    blocks: list[Block] = []
    for part in content:
        block = (part_block or part_as_block)(part)
        mark = cache_mark(part)
        if block is not None:
            blocks.append(block if block["type"] in THOUGHTS else block | mark)
        elif mark and blocks:
            blocks[-1] |= mark
    return blocks


def part_as_block(part: dict[str, Any]) -> Block | None:
    """A part of a user's or a tool's message; None: it holds nothing."""
    kind = part["type"]
    if kind == "image_url":
        given = part["image_url"]
        return _of_url(given if isinstance(given, str) else given["url"], "image")
    if kind == "file":
        return _file(part["file"])
    if kind in _NATIVE:
        return {name: value for name, value in part.items() if value is not None}
    return _text_part(part)


def cache_mark(holder: Mapping[str, Any]) -> dict[str, Any]:
    """`cache_control` of a part, a message or a tool, as fields of its block."""
    mark = holder.get("cache_control")
    return {"cache_control": mark} if isinstance(mark, dict) else {}


def _text_part(part: dict[str, Any]) -> Block | None:
    kind = part["type"]
    if kind not in ("text", "refusal"):
        raise CannotTranslateError(f"a part of type {kind!r} has no place in the Anthropic format here")
    text: str = part[kind]
    if not text.strip():
        return None
    cited = part.get("citations")
    return {"type": "text", "text": text} | ({"citations": cited} if isinstance(cited, list) and cited else {})


def _file(file: dict[str, Any]) -> Block | None:
    data = file.get("file_data")
    if not isinstance(data, str):
        raise CannotTranslateError("a file must come with its data, as a data: URL in file_data")
    if data.startswith("JVBERi"):  # a PDF in base64 without what should stand before it
        data = f"data:application/pdf;base64,{data}"
    block = _of_url(data, "document")
    name = file.get("filename")
    if block is not None and block["type"] == "document" and isinstance(name, str) and name.strip():
        block["title"] = name[:500]
    return block


def _of_url(url: str, kind: str) -> Block | None:
    if url[:5].lower() == "data:":
        return _of_data(url)
    if url.startswith("https://"):
        return {"type": kind, "source": {"type": "url", "url": url}}
    raise CannotTranslateError("an image or file must be a data: URL or an https:// URL")


def _of_data(url: str) -> Block | None:
    comma = url.find(",")
    if comma < 0:
        raise CannotTranslateError("a data: URL has a comma before its data")
    head, data = url[5:comma], url[comma + 1 :]  # megabytes: copied once
    named, *parameters = (each.strip().lower() for each in head.split(";"))
    inline = "base64" in parameters
    if named.startswith("text/") or (not named and not inline):
        text = _decoded(_clean(data)).decode(errors="replace") if inline else unquote(data)
        source = {"type": "text", "media_type": "text/plain", "data": text}
        return {"type": "document", "source": source} if text.strip() else None
    data = _clean(data) if inline else base64.b64encode(unquote_to_bytes(data)).decode()
    media_type = _media_type(data) or _IMAGES.get(named) or named
    if media_type == "application/pdf":
        kind = "document"
    elif media_type in _IMAGES and data:
        kind = "image"
    else:
        raise CannotTranslateError(
            f"{named or 'data of no type'}: the Anthropic format takes image/jpeg, image/png, image/gif, image/webp, "
            "application/pdf and text"
        )
    return {"type": kind, "source": {"type": "base64", "media_type": media_type, "data": data}}


def _clean(data: str) -> str:
    """Base64 as the API takes it: no line breaks, the usual alphabet, padded."""
    if "%" in data:
        data = unquote(data)
    if "\n" in data or " " in data:
        data = "".join(data.split())
    if "-" in data or "_" in data:
        data = data.replace("-", "+").replace("_", "/")
    return data + "=" * (-len(data) % 4)


def _decoded(data: str) -> bytes:
    try:
        return base64.b64decode(data)
    except (binascii.Error, ValueError):
        raise CannotTranslateError("an image or file is no base64") from None


def _media_type(data: str) -> str | None:
    """What the data itself says that it is: the API compares, and labels are often wrong."""
    begins = _decoded(data[:16])
    if begins.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if begins.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if begins.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if begins.startswith(b"RIFF") and begins[8:12] == b"WEBP":
        return "image/webp"
    return "application/pdf" if begins.startswith(b"%PDF") else None
