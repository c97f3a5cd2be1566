"""Deltas: pieces of an answer on their way, as the provider streams it.

The value of a record is a JSON array of the provider's own chunks (OpenAI's `chat.completion.chunk`), each as it came. On the
wire they stand on lines of their own, so that a reader may pass one on without parsing it: `[`, the chunks with a comma and a
line feed between them, `]`. No chunk has a line feed inside.

Source of the chunks: https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pydantic import TypeAdapter

_SEPARATOR: Final = b",\n"

DELTA: Final[TypeAdapter[list[dict[str, Any]]]] = TypeAdapter(list[dict[str, Any]])
"""The value of a delta."""


def encode_delta(chunks: Sequence[bytes]) -> bytes:
    """The value of a delta. Chunks are JSON objects without line feeds.

    >>> encode_delta([b'{"choices": []}', b"{}"])
    b'[{"choices": []},\\n{}]'
    """
    return b"[" + _SEPARATOR.join(chunks) + b"]"


def chunks_of(value: bytes) -> list[bytes]:
    """The chunks of a delta's value as they came. Raises ValueError where it is none.

    >>> chunks_of(encode_delta([b"{}", b'{"choices": []}']))
    [b'{}', b'{"choices": []}']
    """
    if len(value) < 4 or not value.startswith(b"[{") or not value.endswith(b"}]"):
        raise ValueError("no delta: not an array of objects")
    return value[1:-1].split(_SEPARATOR)
