"""Server-sent events, cut into pieces anywhere."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.providers.sse import EventDecoder

EVENTS = [b"one", b"", b'{"two": 2}', b"a\nb", b" spaced"]


def encoded(newline: bytes) -> bytes:
    blocks = []
    for number, data in enumerate(EVENTS):
        lines = [b": a comment", b"event: e%d" % number, *(b"data: " + line for line in data.split(b"\n")), b"id: 7"]
        blocks.append(newline.join(lines) + newline + newline)
    return b"".join(blocks)


@given(st.sampled_from([b"\n", b"\r\n", b"\r"]), st.lists(st.integers(0, 400), max_size=20))
def test_events_are_the_same_wherever_the_stream_is_cut(newline: bytes, cuts: list[int]) -> None:
    stream, decoder, last = encoded(newline), EventDecoder(), 0
    found: list[bytes] = []
    for cut in [*sorted(cuts), len(stream)]:
        found += decoder.feed(stream[last:cut])
        last = max(last, cut)
    found += decoder.feed(b"\n")
    assert found == EVENTS


def test_what_has_no_end_is_no_event() -> None:
    decoder = EventDecoder()
    assert list(decoder.feed(b"data: whole\n\ndata: half")) == [b"whole"]
    assert decoder.pending_bytes == len(b"data: half")


def test_a_space_after_the_colon_is_not_part_of_the_data() -> None:
    assert list(EventDecoder().feed(b"data:x\n\ndata: x\n\ndata:  x\n\n")) == [b"x", b"x", b" x"]
