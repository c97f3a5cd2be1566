"""The OpenAI wire format: what is sent, and what an answer says. Pure.

Requests and answers are in this format already: they pass through with what we do not know of them intact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from schemas.request import Operation, Request
from streams.kept import Kept
from streams.providers.failures import failure_of
from streams.providers.formats.error_bodies import read_error
from streams.providers.formats.json_body import parse_body
from streams.providers.formats.openai.answer import answer_of
from streams.providers.formats.openai.chunks import OpenaiChunker
from streams.providers.formats.openai.continuing import continued
from streams.providers.formats.openai.stream import OpenaiAssembler
from streams.providers.formats.sse import EventDecoder, looks_like_events
from streams.providers.formats.wire import Answer, Asked, Failure, no_json

_PATHS: Final[dict[Operation, str]] = {"chat.completions": "/chat/completions", "embeddings": "/embeddings"}


class OpenaiFormat:
    """https://platform.openai.com/docs/api-reference"""

    def path(self, operation: Operation) -> str | None:
        return _PATHS[operation]

    def headers(self, api_key: str | None) -> Mapping[str, str]:
        return {} if api_key is None else {"authorization": f"Bearer {api_key}"}

    def encode(self, request: Request, *, stream: bool) -> bytes:
        """The payload with its unknown fields intact; only whether it is streamed is ours to say."""
        payload: dict[str, Any] = request.payload
        if stream:
            options = payload.get("stream_options")
            asked = options if isinstance(options, dict) else {}
            payload = payload | {"stream": True, "stream_options": asked | {"include_usage": True}}
        elif payload.get("stream"):
            payload = {name: value for name, value in payload.items() if name != "stream_options"} | {"stream": False}
        return orjson.dumps(payload)

    def decode(self, asked: Asked, status: int, body: bytes, headers: Mapping[str, str]) -> Answer | Failure:
        if not 200 <= status < 300:
            return failure_of(status, read_error(body), headers)
        try:
            parsed, body = parse_body(body)
        except ValueError:
            if looks_like_events(body):
                return self._assembled(asked, body, headers)
            return no_json(body, headers)
        return answer_of(asked, status, parsed, body, headers)

    def chunker(self, head: Mapping[str, Any] | None = None) -> OpenaiChunker:
        return OpenaiChunker()

    def assembler(self, asked: Asked, told: Sequence[bytes] = ()) -> OpenaiAssembler:
        assembler = OpenaiAssembler(asked)
        for chunk in told:
            assembler.feed(chunk)
        return assembler

    def continued(self, body: bytes, kept: Kept) -> bytes | None:
        return continued(body, kept)

    def reattached(self, response_id: str, after: int | None) -> str | None:
        return None

    def _assembled(self, asked: Asked, body: bytes, headers: Mapping[str, str]) -> Answer | Failure:
        """A stream that nobody asked for (new-api#5230)."""
        decoder, assembler = EventDecoder(), OpenaiAssembler(asked, headers)
        for data in (*decoder.feed(body), *decoder.end()):
            assembler.feed(data)
        return assembler.finish()
