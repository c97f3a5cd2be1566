"""JSON as providers write it: strict bodies untouched, odd ones read as a lenient reader would and made strict."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.providers.formats.json_body import encode, parse_body, parse_leniently

TEXTS = st.text(st.characters(codec=None) | st.characters(categories=["Cs"]), max_size=6)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | FLOATS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def without_halves(text: str) -> str:
    """Pairs joined, lone surrogates replaced: character by character."""
    found = []
    place = 0
    while place < len(text):
        one, two = text[place], text[place + 1 : place + 2]
        if "\ud800" <= one <= "\udbff" and "\udc00" <= two <= "\udfff":
            found.append(chr(0x10000 + ((ord(one) - 0xD800) << 10) + ord(two) - 0xDC00))
            place += 1
        else:
            found.append("\ufffd" if "\ud800" <= one <= "\udfff" else one)
        place += 1
    return "".join(found)


def cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return without_halves(value)
    if isinstance(value, list):
        return [cleaned(each) for each in value]
    return {cleaned(key): cleaned(each) for key, each in value.items()} if isinstance(value, dict) else value


@given(JSON)
def test_lone_surrogates_are_replaced_and_all_else_stays(value: Any) -> None:
    found, body = parse_body(json.dumps(value).encode())
    assert found == cleaned(value)
    assert orjson.loads(body) == found


@given(
    JSON,
    st.sampled_from([b"", b"\xef\xbb\xbf", b"\n \r\n", b": ping\n\n: ping\r"]),
    st.sampled_from([b"", b"\n\ndata: [DONE]\n\n"]),
)
def test_what_stands_around_a_body_is_left_away(value: Any, before: bytes, after: bytes) -> None:
    found, body = parse_body(before + json.dumps(value).encode() + after)
    assert found == cleaned(value) == orjson.loads(body)


@given(JSON.map(cleaned))
def test_a_strict_body_is_untouched(value: Any) -> None:
    raw = orjson.dumps(value, option=orjson.OPT_INDENT_2)
    assert parse_body(raw) == (value, raw)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"{}{}", b"{'a': 1}", b"[" * 100_000, b"{" * 5000, b'{"a":' * 3000, b"[" * 250 + b"]" * 250, b": only", b"\x00"],
)  # fmt: skip
def test_what_no_reader_makes_sense_of_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_body(body)


@given(st.binary(max_size=60) | st.text(max_size=30).map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        found, body = parse_body(body)
    except ValueError:
        return
    assert orjson.loads(body) == found


def test_halves_that_come_apart_are_joined_when_they_are_written() -> None:
    first, second = parse_leniently(b'"\\ud83d"'), parse_leniently(b'"\\ude00"')
    assert encode([first + second, first]) == '["😀","\ufffd"]'.encode()
