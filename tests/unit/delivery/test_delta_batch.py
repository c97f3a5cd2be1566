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
