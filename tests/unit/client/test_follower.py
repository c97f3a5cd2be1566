"""Whatever of a stream is lost, comes twice or begins anew: its reader has the whole answer, or is told that it has not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_client.answers import Answer
from headrace_client.follower import Delta, Follower, Restarted, StreamEvent
from headrace_client.told import Told
from schemas.delta import encode_delta

Record = tuple[dict[str, bytes], bytes]


def completion(message: dict[str, Any], reason: str = "stop") -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}


def answer(message: dict[str, Any], **others: Any) -> Answer:
    return Answer("r", "a", "t:0:1", others.pop("status", "ok"), completion(message), **others)


def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def delta(seq: int, *chunks: dict[str, Any], epoch: int = 1, restart: bool = False) -> Record:
    headers = {"epoch": b"%d" % epoch, "seq": b"%d" % seq} | ({"on_loss": b"restart"} if restart else {})
    return headers, encode_delta([orjson.dumps(each) for each in chunks])


def spoken(text: str, size: int = 1, **options: Any) -> list[Record]:
    """A stream of this text, in deltas of one chunk, as a provider sends it; the usage comes last."""
    pieces = [chunk({"content": text[at : at + size]}) for at in range(0, len(text), size)]
    usage = {"id": "c", "choices": [], "usage": {"total_tokens": 3}}
    told = [chunk({"role": "assistant", "content": ""}), *pieces, chunk({}, "stop"), usage]
    return [delta(seq, each, **options) for seq, each in enumerate(told)]


@dataclass
class Reader:
    """What a program makes of what it is told."""

    text: str = ""
    reasons: list[str] = field(default_factory=list)
    restarts: int = 0

    def read(self, events: Sequence[StreamEvent]) -> Reader:
        for event in events:
            match event:
                case Delta(chunks):
                    self.text += event.text
                    found = (choice.get("finish_reason") for each in chunks for choice in each["choices"])
                    self.reasons += [reason for reason in found if reason]
                case Restarted():
                    self.text, self.reasons, self.restarts = "", [], self.restarts + 1
        return self


def follow(follower: Follower, records: Sequence[Record], end: Answer) -> Reader:
    reader = Reader()
    for record in records:
        reader.read(follower.take(*record))
    return reader.read(follower.whole(end))


def test_a_stream_is_told_as_the_provider_sent_it_and_the_usage_is_the_answers() -> None:
    follower = Follower()
    told = [event for record in spoken("hello", 2) for event in follower.take(*record)]
    chunks = [each for event in told if isinstance(event, Delta) for each in event.chunks]
    assert [orjson.loads(value)[0] for _, value in spoken("hello", 2)][:-1] == chunks
    assert follower.whole(answer({"content": "hello"})) == []


@given(
    text=st.text("ab", min_size=1, max_size=12),
    size=st.integers(1, 4),
    kept=st.lists(st.booleans(), min_size=20, max_size=20),
    again=st.lists(st.integers(0, 10), max_size=4),
)
def test_what_is_lost_or_comes_again_changes_nothing(text: str, size: int, kept: list[bool], again: list[int]) -> None:
    records = [record for record, keep in zip(spoken(text, size), kept, strict=False) if keep]
    for at in again:
        records.insert(min(at + 1, len(records)), records[min(at, len(records) - 1)]) if records else None
    reader = follow(Follower(), records, answer({"content": text}))
    assert (reader.text, reader.reasons, reader.restarts) == (text, ["stop"], 0)


# NuGuardAI/nuguard#455, aden-hive/hive#5923, endolith/open-interpreter#291: a retry in the middle is told from its start again
@given(
    first=st.text("ab", max_size=8),
    second=st.text("ab", min_size=1, max_size=8),
    cut=st.integers(0, 10),
    restart=st.booleans(),
)
def test_another_attempt_goes_on_or_begins_again_and_is_never_glued_on(
    first: str, second: str, cut: int, restart: bool
) -> None:
    follower = Follower()
    records = [*spoken(first, restart=restart)[:cut], *spoken(second, epoch=2, restart=restart)]
    reader = follow(follower, records, answer({"content": second}))
    told = first[: max(0, cut - 1)]
    has_ended = cut >= len(first) + 2
    if second == told if has_ended else second.startswith(told):
        assert (reader.text, reader.reasons, follower.diverged) == (second, ["stop"], False)
    elif restart:
        assert (reader.text, reader.restarts, follower.diverged) == (second, 1, False)
    else:
        assert follower.diverged
        assert told.startswith(reader.text) or second.startswith(reader.text)


def test_deltas_of_an_attempt_that_was_given_up_are_void() -> None:
    follower, late = Follower(), spoken("late")
    reader = follow(follower, [*spoken("right", epoch=5), *late], answer({"content": "right"}))
    assert reader.text == "right"


def test_an_answer_that_is_not_what_was_told_is_not_told() -> None:
    follower = Follower()
    assert follow(follower, spoken("one")[:3], answer({"content": "two"})).text == "on"
    assert follower.diverged


def test_an_error_ends_what_was_told_as_it_is() -> None:
    follower = Follower()
    failed = Answer("r", "a", "t:0:1", "error", {}, error_type="provider_error")
    assert follow(follower, spoken("half")[:3], failed).text == "ha"
    assert not follower.diverged


@pytest.mark.parametrize(
    "record",
    [
        ({}, b"[]"),
        ({"epoch": b"1"}, b"[{}]"),
        ({"epoch": b"-1", "seq": b"0"}, b"[{}]"),
        ({"epoch": b"1" * 4000, "seq": b"0"}, b"[{}]"),
        ({"epoch": b"1", "seq": None}, b"[{}]"),
        ({"epoch": b"1", "seq": b"0"}, None),
        ({"epoch": b"1", "seq": b"0"}, b"\xff"),
        ({"epoch": b"1", "seq": b"0"}, b'[{"choices": [1]}]'),
        (
            {"epoch": b"1", "seq": b"0"},
            b'[{"choices": [{"delta": {"tool_calls": [7, {"index": "x"}, {"function": 3}]}}]}]',
        ),
        ({"epoch": b"1", "seq": b"0"}, b'[{"choices": [{"index": null, "delta": {"content": 1, "x": {}}}]}]'),
    ],
)
def test_a_record_that_is_no_delta_harms_nothing(record: tuple[dict[str, bytes | None], bytes | None]) -> None:
    follower = Follower()
    follower.take(*record)
    follower.whole(answer({"content": "fine"}))
    assert follow(Follower(), [record, *spoken("fine", epoch=2)], answer({"content": "fine"})).text == "fine"  # type: ignore[list-item]


def call(index: int | None, arguments: str, id_: str | None = None, name: str | None = None) -> dict[str, Any]:
    piece: dict[str, Any] = {"function": {"arguments": arguments} | ({"name": name} if name else {})}
    piece |= {} if index is None else {"index": index}
    return piece | ({"id": id_, "type": "function"} if id_ else {})


CALLS = [
    {"id": "A", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
    {"id": "B", "type": "function", "function": {"name": "g", "arguments": '{"y": 2}'}},
]
SENT = {
    "interleaved (microsoft/agent-framework#8336)": [
        call(0, "", "A", "f"), call(1, "", "B", "g"), call(0, '{"x"'), call(1, '{"y"'), call(0, ": 1}"), call(1, ": 2}"),
    ],
    "no index (oracle/langchain-oracle#253)": [
        call(None, "", "A", "f"), call(None, '{"x": 1}'), call(None, "", "B", "g"), call(None, '{"y"'), call(None, ": 2}"),
    ],
    "one index for all (huggingface/smolagents#1958)": [
        call(0, '{"x": 1}', "A", "f"), call(0, '{"y"', "B", "g"), call(0, ": 2}"),
    ],
    "one index, and ids in every piece": [
        call(0, '{"x"', "A", "f"), call(0, '{"y"', "B", "g"), call(0, ": 1}", "A"), call(0, ": 2}", "B"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("sent", SENT.values(), ids=list(SENT))
def test_calls_of_tools_are_told_apart_and_lost_ones_filled(sent: list[dict[str, Any]]) -> None:
    deltas = [delta(seq, chunk({"tool_calls": [orjson.loads(orjson.dumps(piece))]})) for seq, piece in enumerate(sent)]
    whole = answer({"content": None, "tool_calls": CALLS})
    for kept in range(len(deltas) + 1):
        follower, joined = Follower(), Told()
        events = [event for record in deltas[:kept] for event in follower.take(*record)]
        for event in [*events, *follower.whole(whole)]:
            assert isinstance(event, Delta)
            for each in event.chunks:
                joined.add(each)
        assert joined.missing(Told.all_of(whole.payload)) == []
        assert joined.has_ended_as(Told.all_of(whole.payload))


def test_a_call_of_another_attempt_never_gets_the_arguments_of_the_first() -> None:
    follower = Follower()
    follower.take(*delta(0, chunk({"tool_calls": [call(0, '{"x"', "A", "f")]})))
    other = [{"id": "Z", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}]
    assert follower.whole(answer({"tool_calls": other})) == []
    assert follower.diverged


def test_reasoning_and_other_fields_are_filled_too() -> None:
    message = {
        "content": "yes",
        "reasoning_content": "because",
        "annotations": [{"a": 1}, {"b": 2}],
        "audio": {"id": "x"},
    }
    follower, joined = Follower(), Told()
    told = follower.take(*delta(0, chunk({"reasoning_content": "bec", "annotations": [{"a": 1}]})))
    for event in [*told, *follower.whole(answer(message))]:
        assert isinstance(event, Delta)
        for each in event.chunks:
            joined.add(each)
    assert joined.missing(Told.all_of(completion(message))) == []


def test_choices_that_were_not_heard_of_are_told_whole() -> None:
    payload = completion({"content": "one"})
    payload["choices"].append({"index": 1, "message": {"content": "two"}, "finish_reason": "length"})
    follower = Follower()
    follower.take(*delta(0, chunk({"content": "o"})))
    (event,) = follower.whole(Answer("r", "a", "t:0:1", "ok", payload))
    assert isinstance(event, Delta)
    assert event.text == "ne"
    assert [(c["index"], c["delta"].get("content"), c["finish_reason"]) for e in event.chunks for c in e["choices"]] == [
        (0, "ne", None), (0, None, "stop"), (1, "two", None), (1, None, "length"),
    ]  # fmt: skip
