"""What is typed at `headrace top`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ops.top.keys import Keys, Looking

WRITTEN = {
    "next": b"\x1b[C",
    "previous": b"\x1bOD",
    "up": b"\x1b[A",
    "page down": b"\x1b[6~",
    "pause": b"p",
    "quit": b"q",
}


@given(st.lists(st.sampled_from(sorted(WRITTEN))), st.data())
def test_keys_are_the_same_however_their_bytes_arrive(wanted: list[str], data: st.DataObject) -> None:
    """An arrow whose bytes came apart, even behind its ESC, was taken for letters (nodejs/node#1403)."""
    typed, keys, found = b"".join(WRITTEN[each] for each in wanted), Keys(), list[str]()
    while typed:
        at = data.draw(st.integers(1, len(typed)))
        found += keys.feed(typed[:at])
        typed = typed[at:]
    assert found == wanted


@given(st.binary(max_size=60))
def test_no_bytes_break_it(typed: bytes) -> None:
    keys = Keys()
    keys.feed(typed)
    assert len(keys.feed(b"")) < 60


def test_a_sequence_that_is_not_known_is_no_letters() -> None:
    assert Keys().feed(b"\x1b[1;5q\x1b[?62;4c") == []


@given(
    st.lists(st.sampled_from(["next", "up", "down", "page down", "page up", "help", "pause"])),
    st.integers(1, 40),
)
def test_no_key_scrolls_out_of_the_picture(typed: list[str], rows: int) -> None:
    looking = Looking()
    for key in typed:
        looking = looking.after(key, rows, 25)
        assert 0 <= looking.top <= max(0, 25 - rows)
        assert not looking.quit


def test_tab_goes_round_and_q_ends() -> None:
    looking, seen = Looking(), ""
    for key in ("next", "next", "previous", "queues", "overview"):
        looking = looking.after(key, 10, 10)
        seen += f"{looking.view} "
    assert seen == "queues overview queues queues overview "
    assert looking.after("quit", 10, 10).quit
