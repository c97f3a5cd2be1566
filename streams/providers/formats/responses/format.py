"""The Responses format, translated from and to the chat completions that requests and answers have here. Pure.

With `background`, streams are asked for so that they go on without a reader: https://platform.openai.com/docs/guides/background.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from schemas.request import Operation, Request
from streams.kept import Kept
from streams.providers.failures import failure_of
from streams.providers.formats.error_bodies import read_error
from streams.providers.formats.json_body import encode
from streams.providers.formats.openai.answer import answer_of
from streams.providers.formats.responses.answer import completion_of, failure_in
from streams.providers.formats.responses.request import encode as encode_request
from streams.providers.formats.responses.stream import ResponsesAssembler, ResponsesChunker
from streams.providers.formats.wire import Answer, Asked, Failure, parse, unusable


class ResponsesFormat:
    """`background`: whether streamed answers are to go on without a reader."""

    def __init__(self, *, background: bool = False) -> None:
        self._background = background

    def path(self, operation: Operation) -> str | None:
        return "/responses" if operation == "chat.completions" else None

    def headers(self, api_key: str | None) -> Mapping[str, str]:
        return {} if api_key is None else {"authorization": f"Bearer {api_key}"}

    def encode(self, request: Request, *, stream: bool) -> bytes:
        return encode_request(request.payload, stream=stream, background=self._background)

    def decode(self, asked: Asked, status: int, body: bytes, headers: Mapping[str, str]) -> Answer | Failure:
        if not 200 <= status < 300:
            return failure_of(status, read_error(body), headers)
        parsed = parse(body, headers)
        if isinstance(parsed, Failure):
            return parsed
        if (failure := failure_in(parsed, headers)) is not None:
            return failure
        whole = completion_of(parsed)
        if whole is None:
            return unusable("the provider's answer has no output")
        return answer_of(asked, status, whole, encode(whole), headers)

    def chunker(self, head: Mapping[str, Any] | None = None) -> ResponsesChunker:
        return ResponsesChunker(dict(head or {}))

    def assembler(self, asked: Asked, told: Sequence[bytes] = ()) -> ResponsesAssembler:
        return ResponsesAssembler(asked, told)

    def continued(self, body: bytes, kept: Kept) -> bytes | None:
        return None

    def reattached(self, response_id: str, after: int | None) -> str | None:
        behind = "" if after is None else f"&starting_after={after}"
        return f"/responses/{quote(response_id, safe='')}?stream=true{behind}"
