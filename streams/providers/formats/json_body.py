"""JSON as providers write it, read as a lenient client would, and written as our contract has it. Pure.

Strict JSON passes through untouched. Beyond it, what is in public reports of providers and gateways:
a byte order mark; blank lines or comments before the body that keep the connection open (OpenRouter); lone surrogates, which
RFC 8259 section 8.2 allows and UTF-8 cannot carry, from an answer cut inside an emoji; bytes that are no UTF-8, for the same
reason; `NaN` and `Infinity` (logprobs, vectors); line breaks inside a text; an event stream's end behind a whole body.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import orjson
from pydantic_core import from_json

_BRACKETS_WITHOUT_A_LOOK: Final = 128
"""So many cannot be nested deeper than readers of our contract follow (pydantic: 200 levels)."""

_PADDING: Final = re.compile(r"\A(?:\s+|:[^\r\n]*(?:[\r\n]|\Z))*")
"""White space and comment lines of an event stream."""

_STREAM_ENDS: Final = re.compile(r"\s*(?:(?:data|event|id|retry)?:|\Z)")

_LARGEST_INTEGER: Final = (1 << 64) - 1


def parse_body(body: bytes) -> tuple[Any, bytes]:
    """What a whole body says, and the body as our contract's readers read it: untouched where they do.

    Raises ValueError for what no reader makes sense of.
    """
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed = parse_leniently(body)
        body = encode(parsed)
        parsed = orjson.loads(body)
    if body.count(b"{") + body.count(b"[") > _BRACKETS_WITHOUT_A_LOOK:
        from_json(b"[[" + body + b"]]")
    return parsed, body


def parse_leniently(data: bytes, *, whole: bool = True) -> Any:
    """What some JSON says that is not strict; unless it is the `whole` data, anything may follow it. It may hold lone
    surrogates: `encode` replaces them, once their other halves had their chance to come. Raises ValueError.
    """
    text = data.decode(json.detect_encoding(data), "replace").removeprefix("\ufeff")
    start = _PADDING.match(text)
    try:
        parsed, end = _DECODER.raw_decode(text, start.end() if start else 0)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if whole and _STREAM_ENDS.match(text, end) is None:
        raise ValueError("something follows the body")
    return parsed


def encode(value: Any) -> bytes:
    """A value of `parse_leniently` as strict JSON; lone surrogates become U+FFFD. Raises ValueError."""
    try:
        return orjson.dumps(value)
    except TypeError:
        pass
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        raise ValueError("nested too deep") from None
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def _integer(digits: str) -> int | float | None:
    """Beyond 64 bits a number is what JavaScript makes of it too; int() refuses more than 4,300 digits."""
    if len(digits) <= 20 and -(1 << 63) <= (whole := int(digits)) <= _LARGEST_INTEGER:
        return whole
    return _number(digits)


def _number(text: str) -> float | None:
    number = float(text)
    return number if abs(number) != float("inf") else None


_DECODER: Final = json.JSONDecoder(parse_constant=lambda _: None, parse_int=_integer, parse_float=_number, strict=False)
