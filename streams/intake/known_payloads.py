"""Payloads that were read before are not read again: most of the work on a hit was to parse and check the same bytes once more.

A value is cut around its payload: `{"agent_id":"a",`, then `{"model": …}`, then `,"timeout_s":9}`. Where the middle was seen in a
valid request, only the rest is validated, with `"payload":{}` in its place. Nothing else is accepted or refused than without:

- A quote behind `{`, `,` or white space that is followed by `payload":` begins a key in every valid document. So where the
  rest is valid, the middle stands where the value of a key `payload` stands.
- The middle is a JSON object by itself, and so may stand in the place of any other one.
- What follows it has no `}` but perhaps as the last byte. That one closes the object with the key, so this is the outermost one.
- A second payload behind it would need a `}` of its own, or is no object, which is refused.
- Which payload is good depends on the operation, and on nothing else in the value.

So fields behind the payload may be strings and numbers; where there is an object among them nothing is known, and all is read.

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
_STUB: Final = b'"payload":{}'

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
        end = value.rfind(b"}", at, len(value) - 1) + 1
        if at < 1 or value[at - 1] not in _BEFORE_A_KEY or not 0 < end - at <= _LARGEST_BYTES:
            return _validate(value), b""
        written = value[at + len(_KEY) : end]
        known = self._young.get(written) or self._take_from_old(written)
        if known is None:
            request = _validate(value)
            self._learn(written, request)
            return request, b""
        try:
            request = _validate_but_payload(value[:at] + _STUB + value[end:])
        except ValueError:
            return _validate(value), b""  # says what is wrong
        if request.operation != known.operation:
            return _validate(value), b""
        request.__dict__["payload"] = known.payload  # frozen for everybody else
        return request, known.digest

    def _take_from_old(self, written: bytes) -> _Known | None:
        known = self._old.pop(written, None)
        if known is not None:
            self._keep(written, known)
        return known

    def _learn(self, written: bytes, request: Request) -> None:
        seen = hash(written)
        if seen not in self._seen_once:
            if len(self._seen_once) == _SEEN_ONCE:
                self._seen_once.clear()
            self._seen_once.add(seen)
            return
        try:
            orjson.loads(written)
        except ValueError:  # more than the payload
            return
        digest = payload_digest(request.operation, request.payload)
        self._keep(written, _Known(request.operation, request.payload, digest))

    def _keep(self, written: bytes, known: _Known) -> None:
        size = 2 * len(written) + _OVERHEAD_BYTES
        if self._young_bytes + size > self._generation_bytes:
            self._old, self._young, self._young_bytes = self._young, {}, 0
        self._young[written] = known
        self._young_bytes += size
