"""Which control records count."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.signing import SIGNATURE, Refusal, Secret
from streams.signing.signature import Signature, _head, holds, sign
from tests.unit.signing.records import CREATE_TIME, NOW, ONE, OTHER, TOPIC, TWO, Read, seal_of
from topics.control import control_topics
from topics.names import V1, TopicNames

SIGNED = Read().signed(seal_of())
BYTES = st.none() | st.binary(max_size=100)
HEADERS = st.lists(st.tuples(st.text(max_size=10).filter(lambda name: name != SIGNATURE), BYTES), max_size=4)


@given(BYTES, BYTES, HEADERS)
def test_what_the_fleet_wrote_counts(key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]) -> None:
    record = Read(key, value, headers)
    assert seal_of().refusal(TOPIC, 0, record.signed(seal_of())) is None


@given(BYTES, BYTES, HEADERS, BYTES, BYTES, HEADERS)
def test_a_signature_is_of_one_record_alone(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]],
    key_2: bytes | None, value_2: bytes | None, headers_2: list[tuple[str, bytes]],
) -> None:  # fmt: skip
    header = sign(ONE, TOPIC, key, value, headers, 1)
    read = Signature.read(header[1])
    assert read is not None
    is_same = (key, value, headers) == (key_2, value_2, headers_2)
    assert holds(ONE, read, TOPIC, key_2, value_2, headers_2) == is_same


def test_it_is_the_hmac_of_rfc_2104() -> None:
    head = _head(TOPIC, b"k", b"v", [], 7)
    key = hashlib.sha256(b"a" * 32).digest()
    expected = hmac.digest(key, head + b"v", "sha256")
    assert urlsafe_b64decode(Secret("a" * 32).mac(head, b"v") + b"=") == expected


@pytest.mark.parametrize(
    ("record", "topic", "why"),
    [
        (Read(), TOPIC, Refusal.UNSIGNED),
        (Read().signed(seal_of(OTHER)), TOPIC, Refusal.UNKNOWN_SIGNER),
        (SIGNED, V1.scaling_events, Refusal.WRONG),
        (replace(SIGNED, key=b"another"), TOPIC, Refusal.WRONG),
        (replace(SIGNED, key=None), TOPIC, Refusal.WRONG),
        (replace(SIGNED, value=b"{"), TOPIC, Refusal.WRONG),
        (replace(SIGNED, value=None), TOPIC, Refusal.WRONG),
        (replace(SIGNED, headers=[*SIGNED.headers, ("ce_id", b"2")]), TOPIC, Refusal.WRONG),
        (replace(SIGNED, headers=SIGNED.headers[1:]), TOPIC, Refusal.WRONG),
        (replace(SIGNED, headers=[*SIGNED.headers, SIGNED.headers[-1]]), TOPIC, Refusal.MALFORMED),
        (replace(SIGNED, value=b" " * (2**20 + 1)), TOPIC, Refusal.TOO_LARGE),
        (replace(SIGNED, timestamp=round((NOW + 301) * 1000)), TOPIC, Refusal.LATE),
        (replace(SIGNED, timestamp=round((NOW - 301) * 1000)), TOPIC, Refusal.LATE),
        (replace(SIGNED, timestamp=round((NOW + 299) * 1000)), TOPIC, None),
        (replace(SIGNED, timestamp=0, timestamp_type=CREATE_TIME), TOPIC, None),
        (Read(), V1.requests[0], None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("requires", [True, False])
def test_what_the_fleet_did_not_write_here_and_now_does_not_count(
    record: Read, topic: str, why: Refusal | None, requires: bool
) -> None:
    if why is Refusal.UNSIGNED and not requires:
        why = None
    assert seal_of(requires=requires).refusal(topic, 0, record) == why


@given(st.binary(max_size=150) | st.from_regex(rb"1\.[0-9a-f]{0,9}\.[0-9]{0,30}\.[a-z=]{0,60}"))
def test_no_header_is_believed_or_breaks_anything(header: bytes) -> None:
    refused = seal_of().refusal(TOPIC, 0, Read(headers=[(SIGNATURE, header)]))
    assert refused in {Refusal.MALFORMED, Refusal.UNKNOWN_SIGNER}


def test_two_secrets_take_turns() -> None:
    old, both, turned, new = seal_of(ONE), seal_of(ONE, TWO), seal_of(TWO, ONE), seal_of(TWO)
    for writer, reader in [(old, both), (both, old), (both, turned), (turned, both), (turned, new), (new, turned)]:
        assert reader.refusal(TOPIC, 0, Read().signed(writer)) is None
    assert new.refusal(TOPIC, 0, Read().signed(old)) is Refusal.UNKNOWN_SIGNER


def test_a_true_record_that_is_written_again_counts_once_and_may_be_read_again() -> None:
    seal = seal_of()
    assert seal.refusal(TOPIC, 0, SIGNED) is None
    assert seal.refusal(TOPIC, 0, SIGNED) is None, "read again, after a fault"
    assert seal.refusal(TOPIC, 0, replace(SIGNED, offset=6)) is Refusal.AGAIN
    assert seal.refusal(TOPIC, 1, SIGNED) is Refusal.AGAIN
    assert seal.refusal(TOPIC, 0, replace(SIGNED, offset=4)) is None, "reading began further back"


def test_remembered_signatures_are_bounded_and_the_newest_stay() -> None:
    seal = seal_of()
    records = [Read(value=b"%d" % number, offset=number).signed(seal_of()) for number in range(5)]
    for record in records:
        assert seal.refusal(TOPIC, 0, record) is None
    assert seal.refusal(TOPIC, 0, replace(records[4], offset=9)) is Refusal.AGAIN
    assert seal.refusal(TOPIC, 0, replace(records[2], offset=9)) is Refusal.AGAIN
    assert seal.refusal(TOPIC, 0, replace(records[0], offset=9)) is None


def test_cancels_of_agents_count_unsigned_where_the_settings_say_so() -> None:
    seal = seal_of(lenient=frozenset({V1.cancels}))
    assert seal.refusal(V1.cancels, 0, Read()) is None
    assert seal.refusal(V1.leases, 0, Read()) is Refusal.UNSIGNED
    assert seal.refusal(V1.cancels, 0, Read().signed(seal_of(OTHER))) is Refusal.UNKNOWN_SIGNER


def test_two_fleets_behind_prefixes_do_not_take_each_others_records() -> None:
    other = TopicNames.behind("b.")
    seal = seal_of(topics={**control_topics(V1), **control_topics(other)})
    assert seal.refusal(other.leases, 0, Read().signed(seal, V1.leases)) is Refusal.WRONG


def test_what_is_not_about_requests_and_answers_is_control() -> None:
    content = {*V1.requests, V1.responses, V1.front_responses, V1.dead_letters}
    assert set(control_topics(V1)) == set(V1.all) - content


def test_a_signature_that_was_there_is_replaced() -> None:
    again = SIGNED.signed(seal_of())
    assert [name for name, _ in again.headers].count(SIGNATURE) == 1
    assert SIGNATURE not in [name for name, _ in seal_of().signed(V1.responses, None, b"", ())]


def test_a_secret_tells_nothing_of_itself() -> None:
    assert "aaaa" not in repr(ONE)
