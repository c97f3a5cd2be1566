"""Whatever of a stream is lost, comes twice or begins again: its reader has the answer, or one error, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.delta import encode_delta
from schemas.response import Response
from streams.front.follower import Broken, Cursor, Delta, Follower, Restarted, Told, Whole
from streams.front.partial import Partial

USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


def answer(message: dict[str, Any], reason: str = "stop") -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": USAGE}


def response(payload: dict[str, Any] | None, status: str = "ok") -> Response:
    error = None if payload else {"type": "provider_error", "message": "no", "retryable": True}
    return Response.model_validate_json(
        orjson.dumps(
            {
                "request_id": "r", "agent_id": "a", "status": status, "payload": payload, "error": error,
                "timing": {"queue_ms": 0, "provider_ms": 0, "total_ms": 0}, "completed_at": "2026-01-01T00:00:00Z",
            }
        )
    )  # fmt: skip


def chunk(delta: dict[str, Any], reason: str | None = None) -> bytes:
    return orjson.dumps({"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})


def chunks_of_text(text: str, size: int, calls: bool = False) -> list[bytes]:
    """A stream of this text, as a provider sends it; with `calls` it is a tool's arguments: each attempt names its own."""
    found = [chunk({"role": "assistant", "content": ""})]
    if calls:
        found.append(
            chunk({"tool_calls": [{"index": 0, "id": f"t{text}", "function": {"name": "f", "arguments": ""}}]})
        )
    for at in range(0, len(text), size):
        piece = text[at : at + size]
        found.append(
            chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} if calls else {"content": piece})
        )
    return [*found, chunk({}, "stop"), orjson.dumps({"id": "c", "choices": [], "usage": USAGE})]


def message_of(text: str, calls: bool = False) -> dict[str, Any]:
    if not calls:
        return {"content": text}
    return {"content": None, "tool_calls": [{"id": f"t{text}", "function": {"name": "f", "arguments": text}}]}


@dataclass(frozen=True)
class Sent:
    """A delta on the log."""

    offset: int
    epoch: int
    seq: int
    chunks: Sequence[bytes]
    restart: bool = False

    def headers(self) -> dict[str, bytes]:
        told = {"epoch": b"%d" % self.epoch, "seq": b"%d" % self.seq}
        return told | ({"on_loss": b"restart"} if self.restart else {})


def run(follower: Follower, sent: Sequence[Sent], end: Response) -> list[Told]:
    told: list[Told] = []
    for each in sent:
        told += follower.take(each.offset, each.headers(), encode_delta(each.chunks))
    return [*told, *follower.whole(end)]


@dataclass
class Reader:
    """What a client makes of a stream."""

    partial: Partial
    ends: int = 0
    broken: bool = False

    @classmethod
    def of(cls, told: Sequence[Told]) -> Reader:
        reader = cls(Partial())
        for each in told:
            reader.read(each)
        return reader

    def read(self, event: Told) -> None:
        match event:
            case Delta(chunks):
                for each in chunks:
                    self.partial.add(orjson.loads(each))
            case Restarted():
                self.partial = Partial()
            case Whole():
                self.ends += 1
            case Broken():
                self.ends, self.broken = self.ends + 1, True

    def has(self, payload: dict[str, Any]) -> bool:
        whole = Partial.of(payload)
        return self.partial.missing(whole) == [] and whole.missing(self.partial) == []


TEXT = st.text("ab", min_size=1, max_size=12)


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[Sent], dict[str, Any]]:
    """A log of some attempts at one answer, of which the last one won; some deltas are missing, and some come twice."""
    calls, restart = draw(st.booleans()), draw(st.booleans())
    sent: list[Sent] = []
    offset = draw(st.integers(0, 2))
    text = ""
    for attempt in range(draw(st.integers(1, 3))):
        text = draw(st.one_of(TEXT, st.just(text or "a")))
        chunks = chunks_of_text(text, draw(st.integers(1, 4)), calls)
        size = draw(st.integers(1, 3))
        deltas = [chunks[at : at + size] for at in range(0, len(chunks), size)]
        deltas = deltas[: draw(st.integers(0, len(deltas)))]
        epoch = 100 + attempt * draw(st.sampled_from([1, 1, -1]))
        for seq, each in enumerate(deltas):
            fate = draw(st.sampled_from(["told"] * 6 + ["lost", "twice"]))
            for _ in range({"told": 1, "lost": 0, "twice": 2}[fate]):
                sent.append(Sent(offset, epoch, seq, each, restart))
                offset += draw(st.integers(1, 3))
    return sent, answer(message_of(text, calls))


@given(streams())
def test_a_reader_has_the_answer_or_one_error(given_stream: tuple[list[Sent], dict[str, Any]]) -> None:
    sent, payload = given_stream
    reader = Reader.of(run(Follower(3), sent, response(payload)))
    assert reader.ends == 1
    assert reader.has(payload) or reader.broken
    assert not (reader.broken and sent and sent[-1].restart)


@given(streams(), st.data())
def test_another_front_goes_on_behind_any_event(
    given_stream: tuple[list[Sent], dict[str, Any]], data: st.DataObject
) -> None:
    sent, payload = given_stream
    taken = data.draw(st.integers(0, len(sent)), label="deltas before the reader was too slow, or the answer was first")
    first = [*_one_by_one(run(Follower(3), sent[:taken], response(payload)))]
    cut = data.draw(st.integers(0, len(first)), label="events before the connection broke")
    before = first[:cut]
    at = next((_place(event) for event in reversed(before) if not isinstance(event, Whole | Broken)), None)
    after = run(Follower(3, at), sent, response(payload))
    reader = Reader.of([*(event for event in before if not isinstance(event, Whole | Broken)), *after])
    assert reader.ends == 1
    assert reader.has(payload) or reader.broken


def _one_by_one(told: Sequence[Told]) -> Sequence[Told]:
    found: list[Told] = []
    for each in told:
        if isinstance(each, Delta):
            found += [Delta((chunk,), each.place(index)) for index, chunk in enumerate(each.chunks)]
        else:
            found.append(each)
    return found


def _place(event: Told) -> Cursor | None:
    return Cursor.read(event.cursor) if isinstance(event, Delta | Restarted) else None


def test_chunks_pass_verbatim_but_for_the_usage() -> None:
    chunks = chunks_of_text("hello", 2)
    told = run(Follower(3), [Sent(7, 1, 0, chunks)], response(answer({"content": "hello"})))
    assert told[0] == Delta(tuple(chunks[:-1]), Cursor(3, 7, 0))
    assert isinstance(told[1], Whole)


def test_an_attempt_before_the_first_token_is_not_seen() -> None:
    role = chunk({"role": "assistant", "content": ""})
    told = run(
        Follower(3), [Sent(7, 1, 0, [role]), Sent(8, 2, 0, chunks_of_text("b", 1))], response(answer({"content": "b"}))
    )
    assert Reader.of(told).has(answer({"content": "b"}))
    assert not any(isinstance(event, Restarted | Broken) for event in told)


@pytest.mark.parametrize("restart", [False, True])
def test_another_text_is_never_glued_on(restart: bool) -> None:
    sent = [Sent(7, 1, 0, chunks_of_text("abc", 1)[:3]), Sent(9, 2, 0, chunks_of_text("bcd", 1), restart)]
    told = run(Follower(3), sent, response(answer({"content": "bcd"})))
    assert [type(event) for event in told] == ([Delta, Restarted, Delta, Whole] if restart else [Delta, Broken])


def test_calls_of_another_attempt_are_another_answer() -> None:
    """Their ids differ, also where their arguments are the same."""
    sent = [Sent(7, 1, 0, chunks_of_text('{"a": 1}', 3, calls=True)[:3])]
    other = answer({"content": None, "tool_calls": [{"id": "u", "function": {"name": "f", "arguments": '{"a": 1}'}}]})
    assert isinstance(run(Follower(3), sent, response(other))[-1], Broken)


def test_a_failure_after_the_first_token_is_the_end() -> None:
    told = run(Follower(3), [Sent(7, 1, 0, chunks_of_text("abc", 1)[:3])], response(None, "error"))
    assert [type(event) for event in told] == [Delta, Whole]


@pytest.mark.parametrize(
    "value", [b"", b"[]", b"[{}]", b'[{"choices": 1}]', b'[{"choices": [{"delta": 7}]}]', b"[{x}]"]
)
def test_a_delta_that_cannot_be_read_is_one_that_is_lost(value: bytes) -> None:
    follower = Follower(3)
    follower.take(1, {"epoch": b"1", "seq": b"0"}, encode_delta(chunks_of_text("abc", 1)[:2]))
    assert follower.take(2, {"epoch": b"1", "seq": b"1"}, value) == []
    assert follower.take(3, {"epoch": b"x", "seq": b"2"}, value) == []
    assert Reader.of(follower.whole(response(answer({"content": "abc"})))).partial.choices[0].texts["content"] == "bc"


@pytest.mark.parametrize("text", ["", "3", "3.1", "a.1.2", "3.1.2.3", "-1.1.1", "3.-2.0", "3.1.9999999999", "３.1.2"])
def test_what_is_no_place_is_none(text: str) -> None:
    assert Cursor.read(text) is None


@given(st.integers(0, 10**6), st.integers(-1, 10**18), st.integers(0, 10**8))
def test_a_place_is_read_back(lane: int, offset: int, number: int) -> None:
    assert Cursor.read(str(Cursor(lane, offset, number))) == Cursor(lane, offset, number)


def test_parallel_calls_with_one_index_are_numbered() -> None:
    """Gemini's OpenAI endpoint gives each the index 0, and SDKs would join their arguments: NousResearch/hermes-agent#62940."""
    calls = [{"index": 0, "id": f"c{n}", "function": {"name": "f", "arguments": f'{{"n": {n}}}'}} for n in range(3)]
    sent = [Sent(7 + n, 1, n, [chunk({"tool_calls": [call]})]) for n, call in enumerate(calls)]
    told = run(Follower(3), sent, response(answer({"content": None, "tool_calls": calls}, "tool_calls")))
    numbers = [
        orjson.loads(each)["choices"][0]["delta"]["tool_calls"][0]["index"]
        for event in told[:3]
        if isinstance(event, Delta)
        for each in event.chunks
    ]
    assert numbers == [0, 1, 2]
    assert isinstance(told[-1], Whole)


def test_an_attempt_that_says_the_same_again_does_not_tell_the_end_twice() -> None:
    follower = Follower(0)
    chunks = [chunk({"content": "abc"}), chunk({}, "stop")]
    found: list[Told] = []
    for epoch in (1, 2):
        for seq, each in enumerate(chunks):
            headers = {"epoch": str(epoch).encode(), "seq": str(seq).encode()}
            found += follower.take(10 * epoch + seq, headers, encode_delta([each]))
    found += follower.whole(response(answer({"content": "abc"})))
    told = [orjson.loads(each) for part in found if isinstance(part, Delta) for each in part.chunks]
    assert [each["choices"][0]["finish_reason"] for each in told].count("stop") == 1
    assert "".join(each["choices"][0]["delta"].get("content", "") for each in told) == "abc"
    assert isinstance(found[-1], Whole)
