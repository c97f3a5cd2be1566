"""Whom a front asks where a request is, and what of the answer it believes and passes on."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.front.ids import RANDOM_BYTES, Where, is_of, new_id, read_id
from streams.front.keys.rate import WINDOW_S, MinuteRate
from streams.front.request_state import read_request_states
from streams.front.worker_directory import KEPT_S, Directory


def test_the_owner_of_a_partition_is_asked_and_else_a_bounded_number() -> None:
    directory = Directory()
    for number in range(40):
        directory.note(f"w{number}", f"10.0.0.{number}:9100", [number], 1000.0)
    assert directory.addresses("agent.requests.normal:7:1042", 1010.0) == ["10.0.0.7:9100"]
    assert len(directory.addresses("agent.requests.normal:77:1", 1010.0)) == 16
    assert len(directory.addresses(None, 1010.0)) == 16
    directory.note("w8", "10.0.0.8:9100", [7, 8], 1005.0)
    assert directory.addresses("t:7:1", 1010.0) == ["10.0.0.8:9100"], "the newest word counts"
    directory.note("w8", "10.0.0.9:9100", [], 1001.0)
    assert directory.addresses("t:7:1", 1010.0) == ["10.0.0.8:9100"], "an old sample changes nothing"
    assert directory.addresses("t:7:1", 1005.0 + KEPT_S) == []


def test_others_requests_are_not_told() -> None:
    told = {
        "stage": "joined",
        "joined": "another agent's id",
        "endpoint": "http://secret",
        "position": 3,
        "agent_id": "a",
    }
    (found,) = read_request_states(orjson.dumps([told]), 1)
    assert found is not None
    assert "another" not in str(found.public())
    assert "secret" not in str(found.public())


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8), lambda each: st.lists(each, max_size=3)
)


@given(st.dictionaries(st.sampled_from(["stage", "reason", "words", "position", "predicted_s", "waited_s"]), JSON))
def test_whatever_a_worker_says_a_comment_stays_one_line(told: dict[str, Any]) -> None:
    (found,) = read_request_states(orjson.dumps([told]), 1)
    if found is not None:
        assert found.comment().startswith(b": waiting ")
        assert b"\n" not in found.comment()[:-2]
        assert b"\r" not in found.comment()


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"[1]", b"[{},{}]", b"nonsense"])
def test_an_answer_that_is_none_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        read_request_states(body, 1)


@given(st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES), st.text(min_size=1, max_size=20))
def test_an_id_is_its_owners_and_nobody_elses(random: bytes, owner: str) -> None:
    where = Where(3, 1_700_000_000_000)
    text = new_id("chatcmpl-", where, random, owner)
    assert read_id(text) == where
    assert is_of(text, owner)
    assert not is_of(text, owner + "x")
    assert not is_of(new_id("chatcmpl-", where, random), owner), "one without an owner is no key's"
    assert not is_of(text[:-1] + ("a" if text[-1] != "a" else "b"), owner)


def test_what_a_key_has_left_comes_back_within_a_minute() -> None:
    rate = MinuteRate()
    assert rate.left(3, 100.0) == (3, 0.0)
    for _ in range(3):
        assert rate.take(3, 100.5) is None
    left, reset_s = rate.left(3, 101.0)
    assert left == 0
    assert 0 < reset_s <= WINDOW_S + 1
    assert rate.left(3, 101.0 + reset_s) == (3, 0.0)
