"""Server-sent events, cut into pieces anywhere."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.providers.formats.sse import EventDecoder, looks_like_events

EVENTS = [b"one", b"", b'{"two": 2}', b"a\nb", b" spaced"]


def encoded(newline: bytes) -> bytes:
    blocks = []
    for number, data in enumerate(EVENTS):
        lines = [b": a comment", b"event: e%d" % number, *(b"data: " + line for line in data.split(b"\n")), b"id: 7"]
        blocks.append(newline.join(lines) + newline + newline)
    return b"".join(blocks)


def decoded(stream: bytes, cuts: list[int]) -> list[bytes]:
    decoder, last = EventDecoder(), 0
    found: list[bytes] = []
    for cut in [*sorted(cuts), len(stream)]:
        found += decoder.feed(stream[last:cut])
        last = max(last, cut)
    return [*found, *decoder.end()]


def by_the_standard(stream: bytes) -> list[bytes]:
    """The standard's algorithm, word by word: https://html.spec.whatwg.org/multipage/server-sent-events.html."""
    *lines, _ = re.split(rb"\r\n|\n|\r", stream.removeprefix(b"\xef\xbb\xbf"))
    found: list[bytes] = []
    data: list[bytes] = []
    for line in lines:
        if not line:
            found += [b"\n".join(data)] if data else []
            data = []
        name, _, value = line.partition(b":")
        if line and name == b"data":
            data.append(value.removeprefix(b" "))
    return found


@given(st.sampled_from([b"\n", b"\r\n", b"\r"]), st.lists(st.integers(0, 400), max_size=20))
def test_events_are_the_same_wherever_the_stream_is_cut(newline: bytes, cuts: list[int]) -> None:
    assert decoded(encoded(newline), cuts) == EVENTS


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_events_are_the_same_byte_by_byte(newline: bytes) -> None:
    stream = encoded(newline)
    assert decoded(stream, list(range(len(stream)))) == EVENTS


PIECES = st.sampled_from(
    [b"\n", b"\n", b"\r", b"\r\n", b"data", b"data:", b"data: ", b":", b"event: x", b"id", b"x", b" ", b"retry: 5",
     b"\xef\xbb\xbf", b"data:x\n\n"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=40).map(b"".join), st.lists(st.integers(0, 200), max_size=20))
def test_any_bytes_are_read_as_the_standard_reads_them(stream: bytes, cuts: list[int]) -> None:
    found, wanted = decoded(stream, cuts), by_the_standard(stream)
    assert found[: len(wanted)] == wanted
    assert len(found) == len(wanted)  # what is left has no end and is no JSON


@pytest.mark.parametrize(
    ("end", "last"),
    [
        (b'data: {"a":1}', [b'{"a":1}']),
        (b'data: {"a":1}\n', [b'{"a":1}']),
        (b'data: {"a":1}\r\n\r', [b'{"a":1}']),
        (b"data: [DONE]", [b"[DONE]"]),
        (b'data: {"a":\ndata: 1}', [b'{"a":\n1}']),
        (b'data: {"a":{"b":1}', []),
        (b"data: half", []),
        (b": a comment", []),
        (b"dat", []),
    ],
    ids=["no end", "one line feed", "a lone carriage return", "the end", "two lines", "cut", "text", "comment", "name"],
)
def test_the_last_event_counts_without_a_blank_line_if_it_is_whole(end: bytes, last: list[bytes]) -> None:
    """openai-node#2725, gemini-cli#29059, python-utcp#104."""
    assert decoded(b"data: first\n\n" + end, []) == [b"first", *last]


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b'event: error\ndata: {"message":"m"}\n\n', b'{"type":"error","error":{"message":"m"}}'),
        (b"event: error\ndata: words\n\n", b'{"type":"error","error":"words"}'),
        (b'event: error\ndata: {"error":{"message":"m"}}\n\n', b'{"error":{"message":"m"}}'),
        (b'event: message\ndata: {"message":"m"}\n\n', b'{"message":"m"}'),
        (b'event: error\n\ndata: {"message":"m"}\n\n', b'{"message":"m"}'),
    ],
)
def test_an_event_named_error_says_so_in_its_data(event: bytes, data: bytes) -> None:
    assert decoded(event, []) == [data]


def test_what_has_no_end_is_no_event() -> None:
    decoder = EventDecoder()
    assert list(decoder.feed(b"data: whole\n\ndata: half")) == [b"whole"]
    assert decoder.pending_bytes == len(b"data: half")
    assert list(decoder.feed(b"\ndata: more")) == []
    assert decoder.pending_bytes == len(b"data: half\ndata: more")
    assert list(decoder.feed(b"\n\n")) == [b"half\nmore"]
    assert decoder.pending_bytes == 0


def test_comments_without_end_are_not_held() -> None:
    decoder = EventDecoder()
    for _ in range(1000):
        assert list(decoder.feed(b": OPENROUTER PROCESSING\n\n: keepalive\n")) == []
    assert decoder.pending_bytes == 0


def test_a_space_after_the_colon_is_not_part_of_the_data() -> None:
    assert list(EventDecoder().feed(b"data:x\n\ndata: x\n\ndata:  x\n\n")) == [b"x", b"x", b" x"]


@pytest.mark.parametrize(
    ("body", "is_one"),
    [
        (b"data: x", True), (b"\xef\xbb\xbfevent:x", True), (b"\n\n: ping\n", True), (b"id: 1\n", True),
        (b'{"data": 1}', False), (b"<html>", False), (b"", False), (b"database: x", False),
    ],
)  # fmt: skip
def test_an_event_stream_is_told_by_how_it_begins(body: bytes, is_one: bool) -> None:
    assert looks_like_events(body) is is_one
