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
