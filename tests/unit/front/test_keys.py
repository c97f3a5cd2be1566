"""Keys: what one looks like, which records make one, what it may ask for, and how often."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.front_key import FrontKey
from streams.front.keys.rate import MinuteRate
from streams.front.keys.ring import MOST_VALUE_BYTES, KeyRing
from streams.front.keys.rules import agent_of, may_class, may_model, unusable
from streams.front.keys.secret import hash_of, new_key
from streams.patterns import matches

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = new_key(bytes(range(32)))
HASH = hash_of(SECRET) or ""


def key(**fields: Any) -> FrontKey:
    return FrontKey.model_validate({"name": "team-a", "created": NOW, **fields})


def record(**fields: Any) -> bytes:
    return orjson.dumps({"name": "team-a", "created": "2026-01-01T00:00:00Z", **fields})


def test_a_key_begins_with_its_prefix_and_is_known_by_its_hash() -> None:
    assert re.fullmatch(r"hr_[A-Za-z0-9_-]{43}", SECRET)
    assert re.fullmatch(r"[0-9a-f]{64}", HASH)
    assert hash_of("sk-" + SECRET) is None
    assert hash_of("hr_" + "x" * 10_000) is None
    assert hash_of("hr_\udcff") is not None  # bytes of a header that are no UTF-8 are looked up, and not there


def test_the_newest_record_of_a_hash_counts() -> None:
    ring = KeyRing()
    assert ring.find(SECRET) is None
    assert ring.note(HASH.encode(), record(rate=3)) is None
    found = ring.find(SECRET)
    assert found is not None
    assert found.key.rate == 3
    found.rate.take(3, now=0)
    ring.note(HASH.encode(), record(revoked=True))
    again = ring.find(SECRET)
    assert again is not None
    assert unusable(again.key, NOW) == "revoked"
    assert again.rate is found.rate  # a change of a key gives it no new minute
    ring.note(HASH.encode(), None)
    assert ring.find(SECRET) is None


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"null",
        b"[]",
        b"\xff",
        b"[" * 5000,
        record(name=""),
        record(name="a/b"),
        record(name="x" * 65),
        record(name="line\nbreak"),
        record(agents=""),
        record(agents="x" * 257),
        record(classes=["urgent"]),
        record(models=["m"] * 65),
        record(models=["x" * 257]),
        record(rate=0),
        record(rate=-1),
        record(rate=orjson.Fragment(b"1" + b"0" * 400)),
        record(rate="60"),
        record(rate=True),
        record(revoked="no"),
        record(expires="tomorrow"),
        record(expires=1767225600),
        record(padding="x" * MOST_VALUE_BYTES),
    ],
    ids=lambda value: repr(value[:60]),
)
def test_a_forged_record_makes_no_key_and_takes_away_the_one_that_was_there(value: bytes) -> None:
    ring = KeyRing()
    ring.note(HASH.encode(), record())
    assert ring.note(HASH.encode(), value) == "unreadable"
    assert ring.find(SECRET) is None


@pytest.mark.parametrize("name", [None, b"", b"team-a", HASH.upper().encode(), HASH.encode() + b"0", b"\xff" * 64])
def test_a_record_under_no_hash_makes_no_key(name: bytes | None) -> None:
    ring = KeyRing()
    assert ring.note(name, record()) == "unreadable"
    assert len(ring) == 0


def test_more_keys_than_are_kept_cost_no_memory_and_harm_none_that_is_there() -> None:
    ring = KeyRing(most=2, most_bytes=10_000)
    names = [f"{number:064x}".encode() for number in range(4)]
    assert [ring.note(name, record()) for name in names] == [None, None, "full", "full"]
    assert ring.note(names[0], record(rate=1)) is None  # a change of one that is there
    wide = KeyRing(most_bytes=3 * len(record()))
    assert [wide.note(name, record()) for name in names] == [None, None, None, "full"]
    assert wide.note(names[0], None) is None
    assert wide.note(names[3], record()) is None


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([None, b"bad", record(), record(rate=5)])), max_size=40))
def test_a_ring_is_the_last_record_of_each_hash(records: list[tuple[int, bytes | None]]) -> None:
    ring, model = KeyRing(), dict[bytes, bytes | None]()
    for number, value in records:
        name = f"{number:064x}".encode()
        ring.note(name, value)
        model[name] = value
    assert len(ring) == sum(value not in (None, b"bad") for value in model.values())
    fresh = KeyRing()
    for name, value in model.items():  # what compaction leaves
        fresh.note(name, value)
    assert (len(fresh), fresh._bytes) == (len(ring), ring._bytes)


def test_a_key_that_has_expired_or_was_revoked_opens_nothing() -> None:
    assert unusable(key(), NOW) is None
    assert unusable(key(expires=NOW + timedelta(seconds=1)), NOW) is None
    assert unusable(key(expires=NOW), NOW) == "expired"
    assert unusable(key(revoked=True, expires=NOW), NOW) == "revoked"


def test_an_agent_is_the_one_named_where_the_key_may_else_the_key() -> None:
    assert agent_of(key(), None) == "team-a"
    assert agent_of(key(), "anybody") == "anybody"
    own = key(agents="team-a-*")
    assert agent_of(own, None) == "team-a"
    assert agent_of(own, "team-a-7") == "team-a-7"
    assert agent_of(own, "team-b-7") is None
    assert agent_of(own, "xteam-a-7") is None


def test_classes_and_models_are_all_where_none_are_named() -> None:
    assert may_class(key(), "high")
    assert may_model(key(), "anything")
    low = key(classes=("low",), models=("small", "claude-*"))
    assert (may_class(low, "low"), may_class(low, "high")) == (True, False)
    assert [may_model(low, name) for name in ("small", "claude-x", "small-2", "Small", "x-claude-")] == [
        True, True, False, False, False,
    ]  # fmt: skip
    assert not may_model(key(models=()), "small")


@given(st.text("ab*", max_size=12), st.text("ab", max_size=12))
def test_a_pattern_matches_as_the_regular_expression_does(pattern: str, text: str) -> None:
    expected = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text) is not None
    assert matches(pattern, text) is expected


def test_many_stars_cost_no_more_than_few() -> None:
    assert not matches("*a" * 128, "a" * 127 + "b" * 129)


@given(st.integers(1, 5), st.lists(st.floats(0, 40), max_size=60))
def test_no_minute_has_more_than_the_rate_and_none_is_refused_while_there_is_room(
    rate: int, pauses: list[float]
) -> None:
    counted, now, taken = MinuteRate(), 1000.0, list[float]()
    for pause in pauses:
        now += pause
        wait_s = counted.take(rate, now)
        recent = sum(at > now - 60 for at in taken)
        if wait_s is None:
            assert recent < rate
            taken.append(now)
        else:
            assert sum(at > now - 61 for at in taken) >= rate
            assert 0 < wait_s <= 61
            assert counted.take(rate, now + wait_s - 0.001) is not None
    assert len(counted._seconds) <= 62
