"""How many objects a value would become is known before it does."""

from __future__ import annotations

import time

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.load.traffic import request_id_of
from ops.ui.payload import shown_value
from schemas.json_nodes import most_nodes, nodes
from schemas.message import object_in
from streams.intake.decode import Decoder
from streams.pipeline import PendingRequest, Rejected
from streams.redaction import Rules
from streams.settings.redaction import Redaction
from tests.support.requests import SampleRecord, SampleSource

texts = st.text() | st.sampled_from(['"', "\\", '\\"', "[[{:", '"[', "\\\\"])
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
MIB = 2**20
DEEP = b"[" * 190 + b"]" * 190
HEAD, TAIL = b'{"agent_id":"a","payload":{"model":"m","messages":[1],"x":[', b"]}}"


def count(value: object) -> int:
    if isinstance(value, list):
        return 1 + sum(map(count, value))
    if isinstance(value, dict):
        return 1 + len(value) + sum(map(count, value.values()))
    return 0


@given(documents)
def test_what_a_document_becomes_is_counted_and_its_texts_are_not(document: object) -> None:
    try:
        written = orjson.dumps(document)
    except (TypeError, ValueError):  # wide integers, surrogates
        return
    assert nodes(written) == count(document) <= most_nodes(written)


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param(b'"' + b'\\"' * (MIB // 2), id="quotes in a text without an end"),
        pytest.param(b'"\\' * (MIB // 2), id="escaped quotes"),
        pytest.param(b'""' * (MIB // 2), id="empty texts"),
        pytest.param(b"\\" * MIB, id="backslashes (CWE-1333)"),
        pytest.param(b'"' + b"[" * MIB, id="brackets in a text without an end"),
    ],
)
def test_counting_takes_time_in_proportion_whatever_the_bytes(hostile: bytes) -> None:
    def least_s(part: bytes) -> float:
        took = []
        for _ in range(5):  # the machine may be busy with something else
            began = time.process_time()
            nodes(part)
            took.append(time.process_time() - began)
        return min(took)

    assert least_s(hostile) < 8 * least_s(hostile[: len(hostile) // 8]) * 4 + 0.1


BOMBS = [
    pytest.param(HEAD + b",".join([DEEP] * 2_700) + TAIL, id="lists 190 deep"),
    pytest.param(HEAD + b",".join([b"[]"] * 300_000) + TAIL, id="flat lists"),
    pytest.param(HEAD + b",".join([b'{"":1}'] * 140_000) + TAIL, id="objects"),
    pytest.param(HEAD + b"{" + b",".join(b'"%d":1' % n for n in range(90_000)) + b"}" + TAIL, id="keys"),
]  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_value_that_would_become_too_many_objects_is_refused_unread(bomb: bytes) -> None:
    assert len(bomb) <= 1.1 * MIB
    decoder = Decoder(2 * MIB, {"high": 10.0, "normal": 30.0, "low": 60.0})
    record = SampleRecord(bomb, key=b"agent-7")
    found = decoder.decode(record, record.origin, SampleSource(), 0)
    assert isinstance(found, Rejected)
    assert (found.reason, found.error_type, found.agent_id) == ("too_large", "too_large", "agent-7")


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("paths", [(), ("payload.x",)])
def test_others_who_read_what_strangers_wrote_leave_it_unread(bomb: bytes, paths: tuple[str, ...]) -> None:
    """Rules of redaction at dead letters, the control room's index and its page of a request: 1 to 6 s a value, each."""
    began = time.process_time()
    assert object_in(bomb) == {}
    told, changed = Rules.of(Redaction(patterns=("sk-[a-z]{8}",), paths=paths)).value(bomb)
    assert changed, "closed: patterns look through the beginning, and where a path leads in it nobody knows"
    assert told == f"*** ({len(bomb):,} bytes that are not read)".encode() if paths else len(told or b"") < 70_000
    shown = shown_value(bomb, redacted=False)
    assert shown.startswith(bomb[:1000].decode())
    assert shown_value(bomb, redacted=True) == f"‹{len(bomb):,} bytes›"
    assert request_id_of(bomb) is None
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param({"model": "m", "input": list(range(150_000))}, id="150,000 token ids"),
        pytest.param(
            {"model": "m", "messages": [{"role": "user", "content": "[{:" * 200_000}]}, id="a text of brackets"
        ),
        pytest.param({"model": "m", "messages": [{"role": "user", "content": "x"}] * 10_000}, id="10,000 messages"),
    ],
)
def test_honest_large_values_pass(payload: dict[str, object]) -> None:
    operation = "embeddings" if "input" in payload else "chat.completions"
    value = orjson.dumps({"agent_id": "a", "operation": operation, "payload": payload})
    decoder = Decoder(2 * MIB, {"high": 10.0, "normal": 30.0, "low": 60.0})
    record = SampleRecord(value)
    assert isinstance(decoder.decode(record, record.origin, SampleSource(), 0), PendingRequest)
