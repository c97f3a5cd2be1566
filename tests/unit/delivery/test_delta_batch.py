"""Chunks leave in their order and once, the first text at once; whoever counts the numbers knows what is missing."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from schemas.delta import chunks_of
from streams.delivery.delta_batch import FULL_BYTES, DeltaBatch

ROLE, TEXT = b'{"choices":[{"delta":{"role":"assistant"}}]}', b'{"choices":[{"delta":{"content":"a"}}]}'


def begun(now_ms: int = 1000, *, restart: bool = False) -> DeltaBatch:
    batch = DeltaBatch(b"agent.requests.normal:3:41", "r-1")
    batch.begin(now_ms, restart=restart)
    return batch


def test_chunks_up_to_the_first_with_text_leave_at_once() -> None:
    batch = begun()
    assert batch.put(ROLE, brought=False)
    assert batch.take() is not None
    assert batch.put(TEXT, brought=True)
    assert batch.take() is not None
    assert not batch.put(TEXT, brought=True)
    assert batch.put(b"{" + b" " * FULL_BYTES + b"}", brought=True)


def test_a_delta_says_whose_it_is_and_which() -> None:
    batch = begun(restart=True)
    for chunk in (ROLE, TEXT):
        batch.put(chunk, brought=chunk is TEXT)
    value, headers = batch.take() or (b"", [])
    assert chunks_of(value) == [ROLE, TEXT]
    assert dict(headers) == {
        "content-type": b"application/json",
        "ce_id": b"agent.requests.normal:3:41",
        "request_id": b"r-1",
        "epoch": b"1000",
        "seq": b"0",
        "on_loss": b"restart",
    }
    assert batch.take() is None


def test_an_attempt_has_a_higher_epoch_whatever_the_clock_says() -> None:
    batch = begun(1000)
    batch.put(TEXT, brought=True)
    batch.begin(900, restart=False)
    assert batch.take() is None, "what waited is of the attempt that failed"
    batch.put(TEXT, brought=True)
    _, headers = batch.take() or (b"", [])
    assert (dict(headers)["epoch"], dict(headers)["seq"]) == (b"1001", b"0")


def test_what_is_left_out_is_missed_by_its_number() -> None:
    batch = begun()
    batch.put(b'{"choices":[{"delta":{"images":"%s"}}]}' % (b"x" * 600_000), brought=True)
    batch.put(TEXT, brought=True)
    _, headers = batch.take() or (b"", [])
    assert dict(headers)["seq"] == b"1"


@given(st.lists(st.tuples(st.binary(max_size=3000), st.booleans(), st.booleans())))
def test_every_chunk_leaves_once_and_in_order(put: list[tuple[bytes, bool, bool]]) -> None:
    batch, seen, numbers = begun(), [], []

    def take() -> None:
        if (taken := batch.take()) is not None:
            seen.extend(chunks_of(taken[0]))
            numbers.append(int(dict(taken[1])["seq"] or b""))

    chunks = [orjson.dumps({"text": text.hex()}) for text, _, _ in put]
    for chunk, (_, brought, beat) in zip(chunks, put, strict=True):
        if batch.put(chunk, brought) or beat:
            take()
    take()
    assert seen == chunks
    assert numbers == list(range(len(numbers)))


def test_nothing_leaves_before_the_upstreams_name_for_the_answer_is_to_be_written() -> None:
    batch = DeltaBatch(b"agent.requests.normal:3:41", "r-1")
    batch.begin(1000, restart=True, upstream=b"nobody", held=True)
    batch.put(b'{"role": 1}', False, 0)
    assert batch.take() is None
    batch.release(b"resp_1")
    taken = batch.take()
    assert taken is not None
    headers = dict(taken[1])
    assert (headers["upstream"], headers["upstream_seq"], headers["seq"]) == (b"resp_1", b"0", b"0")


def test_only_the_first_delta_of_an_attempt_names_the_upstream_and_each_its_last_event() -> None:
    batch = DeltaBatch(b"agent.requests.normal:3:41", "r-1")
    batch.begin(1000, restart=True, upstream=b"sim")
    found = []
    for number in (4, 5, None):
        batch.put(b'{"a": 1}', True, number)
        taken = batch.take()
        assert taken is not None
        headers = dict(taken[1])
        found.append((headers.get("upstream"), headers.get("upstream_seq")))
    assert found == [(b"sim", b"4"), (None, b"5"), (None, None)]
