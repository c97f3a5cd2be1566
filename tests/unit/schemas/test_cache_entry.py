"""Cache entries: what the cheap writers write is what the models read, and answers come back byte for byte."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.cache_entry import (
    CachedAnswer,
    EntryAnswer,
    FinishedRequest,
    decode_entry,
    encode_answer,
    encode_finished,
    parse_cache_entry,
)
from schemas.response import Usage

# Text that would break a reader that looks for the payload carelessly.
texts = st.one_of(st.text(min_size=1, max_size=40), st.just('","payload":{"a":1}}'), st.just('\\",\\"payload\\":'))
tokens = st.integers(0, 10**6)
usages = st.builds(Usage, tokens, tokens, tokens)
payloads = st.one_of(
    st.dictionaries(texts, st.one_of(texts, st.integers(-(2**53), 2**53), st.lists(texts))).map(orjson.dumps),
    st.sampled_from([b'{"choices": [ ] , "n":1.50e+2}', b'{"payload":{"payload":1}}', b"{}", b'{"a":{"b":{}}}']),
)
answers = st.builds(EntryAnswer, payloads, usages, texts)


@given(answers, texts)
def test_an_answer_comes_back_byte_for_byte(answer: EntryAnswer, model: str) -> None:
    value = encode_answer(
        model=model,
        payload=answer.payload,
        usage=answer.usage,
        provider=answer.provider,
        created_at=1.0,
        expires_at=301.5,
    )
    assert decode_entry(value) == answer
    entry = parse_cache_entry(value)
    assert isinstance(entry, CachedAnswer)
    assert entry.payload == orjson.loads(answer.payload)
    assert (entry.model, entry.expires_at.timestamp()) == (model, 301.5)


def finished(answer: EntryAnswer | bytes, agent_id: str = "agent-1", request_id: str = "r") -> bytes:
    return encode_finished(
        agent_id=agent_id, request_id=request_id, payload_hash="ab", answer=answer, finished_at=1.0, expires_at=601.0
    )


@given(answers, texts, texts)
def test_a_finished_request_may_carry_its_answer(answer: EntryAnswer, agent_id: str, request_id: str) -> None:
    value = finished(answer, agent_id, request_id)
    assert decode_entry(value) == answer
    entry = parse_cache_entry(value)
    assert isinstance(entry, FinishedRequest)
    assert entry.answer is not None
    assert entry.answer.payload == orjson.loads(answer.payload)


@given(st.binary(min_size=16, max_size=16), texts, texts)
def test_a_finished_request_may_point_to_its_answer(key: bytes, agent_id: str, request_id: str) -> None:
    value = finished(key, agent_id, request_id)
    assert decode_entry(value) == key
    entry = parse_cache_entry(value)
    assert isinstance(entry, FinishedRequest)
    assert (entry.answer_key, entry.answer) == (key.hex(), None)


def test_a_finished_request_with_no_answer_or_two_is_refused() -> None:
    pointing = orjson.loads(finished(b"k" * 16))
    carrying = orjson.loads(finished(EntryAnswer(b"{}", Usage(), "p")))
    for wrong in ({**pointing, "answer_key": None}, {**pointing, "answer": carrying["answer"]}):
        with pytest.raises(ValueError, match="either answer_key or answer"):
            parse_cache_entry(orjson.dumps(wrong))


@given(st.one_of(st.binary(max_size=60), st.sampled_from([b"[]", b"{}", b"null", b'{"a":1,"payload":{}}', b'"x"'])))
def test_what_is_no_entry_is_a_value_error(value: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
        decode_entry(value)


def poisoned(**fields: object) -> bytes:
    """An entry as somebody else may write it: valid but for these fields."""
    entry = orjson.loads(
        encode_answer(model="m", payload=b"{}", usage=Usage(), provider="p", created_at=1.0, expires_at=2.0)
    )
    raw = fields.pop("payload", b"{}")
    assert isinstance(raw, bytes)
    del entry["payload"]
    return orjson.dumps(entry | fields)[:-1] + b',"payload":' + raw + b"}"


def test_an_entry_of_anybodys_writing_is_read_where_it_is_one() -> None:
    assert decode_entry(poisoned(payload=b'{"a":1}')) == EntryAnswer(b'{"a":1}', Usage(), "p", None)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"provider": ["main"]}, id="a provider that is a list"),
        pytest.param({"provider": {"a": 1}}, id="a provider that is an object"),
        pytest.param({"provider": None}, id="a provider that is null"),
        pytest.param({"provider": "p" * 5_000}, id="a provider of 5,000 characters"),
        pytest.param({"called_model": 7}, id="a model that is a number"),
        pytest.param({"usage": {"prompt_tokens": "1"}}, id="usage as text"),
        pytest.param({"usage": {"prompt_tokens": -5}}, id="usage below 0"),
        pytest.param({"usage": {"prompt_tokens": 2**63}}, id="usage beyond what JSON readers agree on (RFC 8259, 6)"),
        pytest.param({"usage": [1, 2]}, id="usage that is a list"),
        pytest.param(
            {"payload": b'{"a":1},"request_id":"another"'}, id="fields behind the payload (OWASP, JSON injection)"
        ),
        pytest.param({"payload": b'{"a":'}, id="a payload that breaks off"),
        pytest.param({"payload": b"[]"}, id="a payload that is no object"),
        pytest.param({"payload": b'{"a":NaN}'}, id="NaN"),
        pytest.param({"payload": b'{"a":"\xff"}'}, id="no UTF-8"),
        pytest.param({"payload": b'{"a":' + b"[" * 50_000}, id="50,000 levels"),
        pytest.param({"payload": b""}, id="nothing"),
    ],
)
def test_a_poisoned_entry_is_none(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
        decode_entry(poisoned(**fields))
