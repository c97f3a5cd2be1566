"""Rows and places as bytes; the words of the contract as numbers."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.ui.index import codes, keys
from ops.ui.index.cursor import Cursor, CursorError, read_cursor
from ops.ui.index.places import Places
from ops.ui.index.row import Row, decode_row, encode_row, place_of
from schemas.dead_letter import DeadLetterReason
from schemas.response import CacheResult, ErrorType, Status
from tests.unit.ui.models import T0, rows
from topics.names import REQUEST_TOPICS, V1


@given(rows())
def test_a_row_is_read_as_it_was_written(row: Row) -> None:
    assert decode_row(row.place, encode_row(row)) == row


def test_a_usual_request_takes_about_150_bytes() -> None:
    row = Row(
        1,
        T0,
        "0b9e0f0e-3a0c-4ab1-9a52-0a8ad2a4f0c1",
        "agent-17",
        "small-2026",
        provider="main",
        called_model="small-2026-01",
    )
    assert 130 <= len(encode_row(row)) + len(keys.row_key(row.place)) <= 180


def test_numbers_beyond_their_field_become_the_largest_and_texts_are_cut() -> None:
    row = Row(1, T0, "r" * 5000, "a", "m", request_bytes=2**40, attempts=10**6, input_tokens=2**50)
    again = decode_row(1, encode_row(row))
    assert (again.request_bytes, again.attempts, again.input_tokens) == (2**32 - 1, 2**16 - 1, 2**32 - 1)
    assert (len(again.request_id), again.agent_id) == (1024, "a")


@given(st.integers(0, 2), st.integers(0, 2**14 - 1), st.integers(0, 2**40 - 1))
def test_a_place_is_read_as_an_answer_names_it(priority: int, partition: int, offset: int) -> None:
    place = place_of(priority, partition, offset)
    assert Places(V1).read(f"{REQUEST_TOPICS[priority]}:{partition}:{offset}") == place
    row = Row(place, T0, "", "", "")
    assert (REQUEST_TOPICS.index(f"agent.requests.{row.priority}"), row.partition, row.offset) == (
        priority,
        partition,
        offset,
    )


@pytest.mark.parametrize(
    "text",
    ["", "r-1", "agent.requests.high:1", "agent.requests.high:-1:2", "agent.requests.high:1:2:3", "agent.responses:1:2",
     "agent.requests.high:99999:1", "agent.requests.high:1:999999999999999", "agent.requests.high:١:2"],
)  # fmt: skip
def test_what_names_no_record_of_a_request_is_no_place(text: str) -> None:
    assert Places(V1).read(text) is None


def test_every_word_of_the_contract_has_a_number() -> None:
    assert set(get_args(Status)) <= set(codes.STATUSES)
    assert set(get_args(ErrorType)) == set(codes.ERRORS[1:])
    assert set(get_args(DeadLetterReason)) == set(codes.REASONS[1:])
    assert set(get_args(CacheResult)) == set(codes.CACHES[1:])


@given(st.integers(0, 2**40 - 1), st.integers(0, 2**64 - 1))
def test_a_cursor_is_read_as_its_url_has_it(time_ms: int, place: int) -> None:
    assert read_cursor(str(Cursor(time_ms, place))) == Cursor(time_ms, place)


@pytest.mark.parametrize("text", ["", "x", "0" * 27, "0" * 29, "G" * 28, "0" * 27 + "\n", "٠" * 28])
def test_anything_else_is_no_cursor(text: str) -> None:
    with pytest.raises(CursorError):
        read_cursor(text)


@given(rows(), rows())
def test_keys_of_one_kind_are_in_the_order_of_time_and_place(one: Row, other: Row) -> None:
    other = other._replace(
        agent_id=one.agent_id, model=one.model, tenant=one.tenant, place=other.place | one.place & 3 << 62
    )
    if one.place >> 62 != other.place >> 62:
        return
    for first, second in zip(keys.steady_keys(one), keys.steady_keys(other), strict=True):
        assert (first < second) == ((one.time_ms, one.place) < (other.time_ms, other.place))
        assert (keys.time_of_key(first), keys.place_of_key(first)) == (one.time_ms, one.place)
