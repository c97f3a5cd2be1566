"""The answer so far, of the deltas on the log: as their readers take them."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from schemas.delta import encode_delta
from streams.delivery.gathered import Gathered
from streams.kept import Upstream
from tests.unit.test_kept import chunk

UPSTREAM = Upstream("sim", 0, "small", "resp_1")


def take(gathered: Gathered, epoch: int, seq: int, *texts: str, upstream: Upstream | None = None) -> None:
    headers = {"epoch": b"%d" % epoch, "seq": b"%d" % seq, "upstream_seq": b"%d" % (10 * epoch + seq)}
    if upstream is not None:
        headers["upstream"] = upstream.encode()
    gathered.take(headers, encode_delta([chunk(text) for text in texts]))


def test_nothing_is_known_of_a_stream_without_its_upstream() -> None:
    gathered = Gathered()
    assert gathered.kept() is None
    take(gathered, 1, 0, "one")
    assert gathered.kept() is None


def test_deltas_count_up_to_the_first_that_is_missing() -> None:
    gathered = Gathered()
    take(gathered, 1, 0, "one", upstream=UPSTREAM)
    take(gathered, 1, 1, " two")
    take(gathered, 1, 1, " two")
    take(gathered, 1, 3, " four")
    take(gathered, 1, 2, " three")
    kept = gathered.kept()
    assert kept is not None
    assert (kept.text, kept.after, kept.upstream) == ("one two", 11, UPSTREAM)


def test_an_attempt_that_has_not_come_as_far_takes_nothing_away() -> None:
    """A second worker died while it told again what the first had told."""
    gathered = Gathered()
    take(gathered, 1, 0, "one", " two", upstream=UPSTREAM)
    take(gathered, 5, 0, "one", upstream=UPSTREAM)
    take(gathered, 1, 1, " from a worker that is gone")
    kept = gathered.kept()
    assert kept is not None
    assert (kept.text, kept.after) == ("one two", 10)


def test_an_answer_that_was_begun_anew_counts_in_place_of_the_first() -> None:
    gathered, other = Gathered(), Upstream("sim", 0, "small", "resp_2")
    take(gathered, 1, 0, "one", " two", upstream=UPSTREAM)
    take(gathered, 5, 0, "on", upstream=other)
    kept = gathered.kept()
    assert kept is not None
    assert (kept.text, kept.upstream) == ("on", other)


@given(st.lists(st.text(min_size=1), min_size=1, max_size=8), st.data())
def test_twice_written_deltas_change_nothing(texts: list[str], data: st.DataObject) -> None:
    """A delta whose ack was lost is written again, in its order."""
    gathered = Gathered()
    for seq, text in enumerate(texts):
        for _ in range(data.draw(st.integers(1, 3))):
            take(gathered, 1, seq, text, upstream=UPSTREAM if seq == 0 else None)
    kept = gathered.kept()
    assert kept is not None
    assert kept.text == "".join(texts)


def test_nonsense_is_passed_over() -> None:
    gathered = Gathered()
    gathered.take({}, b"[{}]")
    gathered.take({"epoch": b"x", "seq": b"0"}, b"[{}]")
    take(gathered, 1, 0, "one", upstream=UPSTREAM)
    gathered.take({"epoch": b"1", "seq": b"1"}, orjson.dumps({"no": "delta"}))
    take(gathered, 1, 1, " two")
    kept = gathered.kept()
    assert kept is not None
    assert kept.text == "one"
