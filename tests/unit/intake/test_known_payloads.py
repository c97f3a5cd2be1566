"""What is read by known payloads is what is read without: the same requests, the same refusals, whatever was read before."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.request import Request
from streams.cache.key import payload_digest
from streams.intake.known_payloads import KnownPayloads

CHAT: dict[str, Any] = {"model": "small", "messages": [{"role": "user", "content": "hi"}]}
TEXT = orjson.dumps(CHAT)
OTHER = b'{"model":"large","messages":[0]}'
EMBED = b'{"model":"small","input":"hi"}'


def plain(value: bytes) -> dict[str, Any] | list[Any]:
    """What the model itself makes of a value."""
    try:
        return dict(Request.model_validate_json(value))
    except ValidationError as error:
        return error.errors(include_url=False, include_context=False)


def read(payloads: KnownPayloads, value: bytes) -> dict[str, Any] | list[Any]:
    try:
        request, digest = payloads.read(value)
    except ValidationError as error:
        return error.errors(include_url=False, include_context=False)
    assert digest in (b"", payload_digest(request.operation, request.payload))
    return dict(request)


def is_known(payloads: KnownPayloads, value: bytes) -> bool:
    return payloads.read(value)[1] != b""


def having_read(*values: bytes) -> KnownPayloads:
    """It keeps a payload when it comes a second time."""
    payloads = KnownPayloads()
    for value in values * 2:
        read(payloads, value)
    return payloads


def value(payload: bytes = TEXT, head: bytes = b'"agent_id":"a",', tail: bytes = b"}") -> bytes:
    return b"{" + head + b'"payload":' + payload + tail


payload_texts = st.sampled_from(
    [TEXT, OTHER, EMBED, b"{}", b"[]", b" " + TEXT, b'{"payload":' + TEXT + b"}", b"1", b""]
)
keys = st.sampled_from(
    [
        b'"payload":',
        b'"payload" :',
        b'"a\\"payload":',
        b'"\\\\"payload":',
        b'"pay\\u006coad":',
        b'"x":',
        b'"meta":{"payload":',
    ]
)
members = st.one_of(
    st.builds(lambda key, text: key + text + (b"}" if key.startswith(b'"meta"') else b""), keys, payload_texts),
    st.sampled_from(
        [
            b'"operation":"embeddings"',
            b'"operation":"chat.completions"',
            b'"operation":"other"',
            b'"agent_id":"a"',
            b'"agent_id":"a{, "',
            b'"agent_id":""',
            b'"timeout_s":5',
            b'"cache":{"mode":"off"}',
            b'"agent_id":"\xff"',
            b'"n":[{"payload":{}',
            b'"payload',
        ]
    ),
)
documents = st.builds(
    lambda parts, comma, end: b"{" + comma.join(parts) + end,
    st.lists(members, max_size=4),
    st.sampled_from([b",", b", ", b",\n\t"]),
    st.sampled_from([b"}", b"}", b"}", b"}}", b"} ", b"", b"]"]),
)


@given(st.lists(documents, min_size=1, max_size=8))
@example([value(), b'{"payload" :{},"a\\"payload":' + TEXT + b"}"])
@example([value(), b'{"x":"\\\\"payload":' + TEXT + b"}"])
@example([value(), b'[{"agent_id":"a","payload":' + TEXT + b"}"])
@example([value(), value(head=b'"payload":{},')])
@example([value(), value(tail=b',"payload":' + OTHER + b"}")])
@example([value(), value(tail=b',"payload":1}')])
@example([value(), value(tail=b',"payload":[]}')])
@example([value(), value(tail=b',"pay\\u006coad":2}')])
@example([value(), b'{"meta":{"payload":' + TEXT + b',"y":1}}'])
@example([value(), b'{"x":[{"payload":' + TEXT + b'}],"agent_id":"a"}'])
@example([value(), b'{"x":[1,"payload":' + TEXT + b"]}"])
@example([value(), value(tail=b',"x":[1,{"y":2}],"timeout_s":3}')])
@example([value(), value(tail=b',"timeout_s":"}"}')])
@example([value(), value(tail=b',"agent_id":"x}y"}')])
@example([value(tail=b"]}"), value(tail=b"")])
@settings(max_examples=600, deadline=None)
def test_whatever_was_read_before_a_value_is_read_as_the_model_reads_it(values: list[bytes]) -> None:
    payloads = having_read(value(), value(OTHER), value(EMBED, b'"operation":"embeddings",'))
    for each in [*values, *values, *values]:
        assert read(payloads, each) == plain(each)


def test_a_payload_is_kept_when_it_comes_a_second_time_and_then_known_to_everybody() -> None:
    payloads = KnownPayloads()
    assert [is_known(payloads, value()) for _ in range(3)] == [False, False, True]
    first, second = payloads.read(value(head=b'"agent_id":"b",'))[0], payloads.read(value(head=b'"timeout_s":9,'))[0]
    assert (first.agent_id, second.timeout_s, second.agent_id) == ("b", 9.0, None)
    assert first.payload == CHAT
    assert first.payload is second.payload
    assert isinstance(first, Request)


@pytest.mark.parametrize("tail", [b',"cache":{"mode":"off"}}', b',"timeout_s":5} ', b',"agent_id":"}"}'])
def test_with_a_brace_behind_it_a_payload_is_never_known(tail: bytes) -> None:
    payloads, other = having_read(value()), value(tail=tail)
    for _ in range(4):
        assert not is_known(payloads, other)
        assert read(payloads, other) == plain(other)


def test_the_same_payload_written_otherwise_is_another_one() -> None:
    payloads, other = having_read(value()), value(b" " + TEXT)
    assert [is_known(payloads, other) for _ in range(3)] == [False, False, True]
    assert read(payloads, other) == plain(other)


@pytest.mark.parametrize("tail", [b" }", b',"timeout_s":5}', b', "request_id": "r", "timeout_s": 5.5\n}'])
def test_strings_and_numbers_may_follow_a_known_payload(tail: bytes) -> None:
    payloads = having_read(value())
    other = value(tail=tail)
    assert is_known(payloads, other)
    assert read(payloads, other) == plain(other)


def test_a_payload_of_another_operation_is_checked_anew() -> None:
    payloads = having_read(value())
    wrong = value(head=b'"operation":"embeddings",')
    for _ in range(3):
        assert read(payloads, wrong) == plain(wrong)
    assert isinstance(plain(wrong), list)


def test_python_s_own_way_to_write_json_is_known_too() -> None:
    import json

    written = [json.dumps({"agent_id": f"a-{n}", "payload": CHAT}).encode() for n in range(3)]
    payloads = KnownPayloads()
    assert [is_known(payloads, each) for each in written] == [False, False, True]


def test_what_is_kept_is_bounded_and_what_is_asked_for_stays() -> None:
    payloads = KnownPayloads(generation_bytes=100_000)  # room for some 60
    wanted = value()
    read(payloads, wanted)
    read(payloads, wanted)
    for number in range(2_000):
        other = value(orjson.dumps({**CHAT, "seed": number}))
        read(payloads, other)
        read(payloads, other)
        if number % 20 == 0:
            assert is_known(payloads, wanted)
        assert len(payloads._young) + len(payloads._old) <= 130
    assert not is_known(payloads, value(orjson.dumps({**CHAT, "seed": 0})))
    assert is_known(payloads, other)


def test_payloads_that_come_once_are_not_kept() -> None:
    payloads = KnownPayloads()
    for number in range(20_000):
        read(payloads, value(orjson.dumps({**CHAT, "seed": number})))
    assert not payloads._young
    assert not payloads._old
    assert len(payloads._seen_once) <= 8_192


def test_a_large_payload_is_not_kept() -> None:
    large = value(orjson.dumps({**CHAT, "text": "x" * 20_000}))
    payloads = having_read(large, large)
    assert not is_known(payloads, large)
