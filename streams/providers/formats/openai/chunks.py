"""Events of a stream in the OpenAI format as chunks for others: as they came, where they are chunks. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from streams.providers.formats.json_body import encode, parse_leniently
from streams.providers.formats.openai.answer import says_nothing


class OpenaiChunker:
    """Passes over what is no chunk: the end, comments that a proxy made events of, errors."""

    upstream_id: str | None = None
    reached: int | None = None
    failed = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The chunk of one event's data, untouched where it is strict JSON on one line."""
        data = data.strip()
        if not data or data == b"[DONE]" or data.startswith(b":"):
            return
        try:
            chunk: Any = orjson.loads(data)
        except orjson.JSONDecodeError:
            try:
                chunk = parse_leniently(data)
                data = encode(chunk)
            except ValueError:
                return
        if type(chunk) is not dict or type(chunk.get("choices")) is not list or not says_nothing(chunk.get("error")):
            return
        yield encode(chunk) if b"\n" in data or b"\r" in data else data
