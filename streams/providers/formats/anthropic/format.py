"""The Anthropic Messages format, translated from and to the OpenAI format that requests and answers have here. Pure.

Formats: https://docs.claude.com/en/api/messages, https://platform.openai.com/docs/api-reference/chat. docs/providers.md says what
passes, what is translated, what is left out and what is refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from schemas.request import Operation, Request
from streams.kept import Kept
from streams.providers.failures import failure_of
from streams.providers.formats.anthropic.answer import translate_answer
from streams.providers.formats.anthropic.chunks import AnthropicChunker
from streams.providers.formats.anthropic.request import translate_request
from streams.providers.formats.anthropic.stream import AnthropicAssembler
from streams.providers.formats.error_bodies import read_error
from streams.providers.formats.openai.answer import says_nothing
from streams.providers.formats.wire import Answer, Asked, Failure, parse

VERSION: Final = "2023-06-01"
"""Of the API, in every call: https://docs.claude.com/en/api/versioning."""


class AnthropicFormat:
    """`now` gives Unix seconds, for the answer's `created`."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now

    def path(self, operation: Operation) -> str | None:
        return "/messages" if operation == "chat.completions" else None

    def headers(self, api_key: str | None) -> Mapping[str, str]:
        version = {"anthropic-version": VERSION}
        return version if api_key is None else version | {"x-api-key": api_key}

    def encode(self, request: Request, *, stream: bool) -> bytes:
        return orjson.dumps(translate_request(request.payload) | ({"stream": True} if stream else {}))

    def decode(self, asked: Asked, status: int, body: bytes, headers: Mapping[str, str]) -> Answer | Failure:
        """An error inside a 200 is an error."""
        if not 200 <= status < 300:
            return failure_of(status, read_error(body), headers)
        parsed = parse(body, headers)
        if isinstance(parsed, Failure):
            return parsed
        if not says_nothing(parsed.get("error")) or parsed.get("type") == "error":
            return failure_of(status, read_error(body), headers)
        return translate_answer(parsed, int(self._now()))

    def chunker(self, head: Mapping[str, Any] | None = None) -> AnthropicChunker:
        return AnthropicChunker(int(self._now()))

    def continued(self, body: bytes, kept: Kept) -> bytes | None:
        """Newer models refuse a last message of the assistant's."""
        return None

    def reattached(self, response_id: str, after: int | None) -> str | None:
        return None

    def assembler(self, asked: Asked, told: Sequence[bytes] = ()) -> AnthropicAssembler:
        return AnthropicAssembler(lambda message: translate_answer(message, int(self._now())))
