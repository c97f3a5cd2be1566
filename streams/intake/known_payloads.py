"""Payloads that were read before are not read again: most of the work on a hit was to parse and check the same bytes once more.

A value is cut before its payload: `{"agent_id":"a",` and `{"model": …}}`. Where the second part was seen in a valid request, it
is the payload and the end of the value, whatever stands before it; only the first part is validated then, with `"payload":{}}`
behind it. Nothing else is accepted or refused than without:

- A quote behind `{`, `,` or white space that is followed by `payload":` begins a key in every valid document, so both parts meet
  where the value of a key `payload` begins.
- The first part with `{}}` behind it is valid, and so that key is one of the outermost object; JSON is read from left to right.
- The second part without its last `}` is a JSON value by itself, so nothing follows the payload, no second one either.
- Which payload is good depends on the operation, and on nothing else in the value.

Payloads are shared by the requests that have them: nobody may change one. What is kept is bounded in bytes, and only payloads
that come a second time are kept: those of a worker without hits would cost memory for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self

import orjson
from pydantic import model_validator

from schemas.request import Operation, Request
from streams.cache.key import payload_digest

_KEY: Final = b'"payload":'
_BEFORE_A_KEY: Final = b"{, \n\r\t"
_STUB: Final = b'"payload":{}}'

_LARGEST_BYTES: Final = 16_384
_GENERATION_BYTES: Final = 4_000_000
"""There are two: the one that is filled, and the one before it, from which what is asked for moves on."""
_OVERHEAD_BYTES: Final = 1_500
"""Of a kept payload: its objects, besides its text, which is there twice."""
_SEEN_ONCE: Final = 8_192


class _RequestButPayload(Request):
    """A request whose payload needs no check."""

    @model_validator(mode="after")
    def _payload_is_usable(self) -> Self:
        return self


# `model_validate_json` without its keyword arguments: 0.4 us a record.
_validate = Request.__pydantic_validator__.validate_json
_validate_but_payload = _RequestButPayload.__pydantic_validator__.validate_json


@dataclass(frozen=True, slots=True)
class _Known:
    operation: Operation
    payload: dict[str, Any]
    digest: bytes


class KnownPayloads:
    """Reads values of request records."""

    def __init__(self, generation_bytes: int = _GENERATION_BYTES) -> None:
        self._generation_bytes = generation_bytes
        self._young: dict[bytes, _Known] = {}
        self._old: dict[bytes, _Known] = {}
        self._young_bytes = 0
        self._seen_once: set[int] = set()

    def read(self, value: bytes) -> tuple[Request, bytes]:
        """The request, and the digest of its payload if that was known, else b"". Raises as `Request.model_validate_json`."""
        at = value.find(_KEY)
        if at < 1 or value[at - 1] not in _BEFORE_A_KEY or len(value) - at > _LARGEST_BYTES:
            return _validate(value), b""
        rest = value[at + len(_KEY) :]
        known = self._young.get(rest) or self._take_from_old(rest)
        if known is None:
            request = _validate(value)
            self._learn(rest, request)
            return request, b""
        try:
            request = _validate_but_payload(value[:at] + _STUB)
        except ValueError:
            return _validate(value), b""  # says what is wrong
        if request.operation != known.operation:
            return _validate(value), b""
        request.__dict__["payload"] = known.payload  # frozen for everybody else
        return request, known.digest

    def _take_from_old(self, rest: bytes) -> _Known | None:
        known = self._old.pop(rest, None)
        if known is not None:
            self._keep(rest, known)
        return known

    def _learn(self, rest: bytes, request: Request) -> None:
        seen = hash(rest)
        if seen not in self._seen_once:
            if len(self._seen_once) == _SEEN_ONCE:
                self._seen_once.clear()
            self._seen_once.add(seen)
            return
        try:
            orjson.loads(rest[:-1])
        except ValueError:  # something follows the payload
            return
        digest = payload_digest(request.operation, request.payload)
        self._keep(rest, _Known(request.operation, request.payload, digest))

    def _keep(self, rest: bytes, known: _Known) -> None:
        size = 2 * len(rest) + _OVERHEAD_BYTES
        if self._young_bytes + size > self._generation_bytes:
            self._old, self._young, self._young_bytes = self._young, {}, 0
        self._young[rest] = known
        self._young_bytes += size
