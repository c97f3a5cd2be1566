"""The items of a response's output: thoughts, a message, calls of functions. Pure.

Items: https://platform.openai.com/docs/api-reference/responses/object#responses-object-output. Signed thoughts of Anthropic's
models travel in `encrypted_content`, which clients send back as it came.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from streams.providers.formats.wire import cached_tokens_of, tokens, usage_of

Item = dict[str, Any]

_SIGNED: Final = "headrace-thoughts:"
"""Before signed thoughts in `encrypted_content`: what an upstream encrypted itself is none of ours."""


def item_id(kind: str, response_id: str, index: int) -> str:
    """The id of the item at an index of the output: of the response's id, so that it is the same on every front."""
    return f"{kind}_{response_id.partition('_')[2]}{index:02d}"


def text_part(text: str, logprobs: Sequence[Any] = ()) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": list(logprobs)}


def message_item(response_id: str, index: int, content: list[dict[str, Any]], status: str = "completed") -> Item:
    return {
        "id": item_id("msg", response_id, index),
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": content,
    }


def reasoning_item(response_id: str, index: int, text: str, signed: str | None = None) -> Item:
    content = [{"type": "reasoning_text", "text": text}] if text else []
    item: Item = {"id": item_id("rs", response_id, index), "type": "reasoning", "summary": [], "content": content}
    return item | ({"encrypted_content": signed} if signed else {})


def call_item(response_id: str, index: int, call_id: str, name: str, arguments: str, status: str = "completed") -> Item:
    return {
        "id": item_id("fc", response_id, index),
        "type": "function_call",
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
        "status": status,
    }


def sign_thoughts(blocks: Any) -> str | None:
    """The `encrypted_content` of thinking blocks; None where there is nothing that a model would take back."""
    kept = [block for block in blocks if isinstance(block, dict) and (block.get("signature") or block.get("data"))]
    return _SIGNED + base64.b64encode(orjson.dumps(kept)).decode() if kept else None


def signed_thoughts(text: Any) -> list[dict[str, Any]]:
    """The thinking blocks that `sign_thoughts` was given; none for any other text."""
    if not isinstance(text, str) or not text.startswith(_SIGNED):
        return []
    try:
        blocks = orjson.loads(base64.b64decode(text[len(_SIGNED) :]))
    except ValueError:
        return []
    return [block for block in blocks if isinstance(block, dict)] if isinstance(blocks, list) else []


def response_usage(stated: Any) -> dict[str, Any] | None:
    """Tokens, in the API's names; None where the upstream states none."""
    if not isinstance(stated, Mapping):
        return None
    usage = usage_of(stated)
    details = stated.get("completion_tokens_details")
    prompt = stated.get("prompt_tokens_details")
    written = tokens(prompt.get("cache_creation_tokens")) if isinstance(prompt, dict) else 0
    thought = tokens(details.get("reasoning_tokens")) if isinstance(details, dict) else 0
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": cached_tokens_of(stated, usage), "cache_write_tokens": written},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": usage.total_tokens,
    }
