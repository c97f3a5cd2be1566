"""A request and its events: deltas that come, readers that are slow, and the one end."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from schemas.delta import encode_delta
from streams.front import exchange as exchange_module
from streams.front.exchange import Arrived, Beat, Broken, Delta, Event, Exchange, Inbox, StillWaits, Whole
from streams.front.waiting import Waiting
from tests.unit.front.test_follower import Reader, answer, chunk, chunks_of_text, response

NAMED = b"agent.requests.normal:0:7"


def arrived(offset: int, value: bytes, epoch: int = 1) -> Arrived:
    """A delta as it is read."""
    return Arrived(offset, {"epoch": b"%d" % epoch, "seq": b"%d" % offset}, value)


def whole(text: str) -> bytes:
    return orjson.dumps(response(answer({"content": text})).model_dump(mode="json"))


def deltas(text: str, size: int = 1) -> list[Arrived]:
    return [arrived(number, encode_delta([each])) for number, each in enumerate(chunks_of_text(text, size))]


async def events(
    waiting: Waiting, inbox: Inbox, answered: asyncio.Future[bytes], most_wait_s: float = 60
) -> list[Event]:
    async with Exchange("r", 3, answered, inbox, most_wait_s, waiting.forget) as exchange:
        return [event async for event in exchange]


async def test_deltas_that_come_before_the_ack_are_told_too() -> None:
    waiting, inbox = Waiting(10), Inbox()
    answered = waiting.expect("r", inbox)
    first, *others = deltas("hello")
    waiting.take_delta("r", NAMED, first)
    waiting.take_delta("r", b"somebody:0:1", arrived(0, b"[{}]"))
    waiting.published("r", NAMED)
    for record in others:
        waiting.take_delta("r", NAMED, record)
        waiting.take_delta("r", b"somebody:0:1", record)
    waiting.take_delta("s", NAMED, first)
    waiting.take("r", NAMED, whole("hello"))
    told = await events(waiting, inbox, answered)
    assert Reader.of([event for event in told if isinstance(event, Delta | Whole)]).has(answer({"content": "hello"}))
    assert len(told) > 5
    assert len(waiting) == 0


async def test_a_reader_that_is_too_slow_has_the_rest_from_the_answer() -> None:
    waiting, inbox = Waiting(10), Inbox()
    answered = waiting.expect("r", inbox)
    waiting.published("r", NAMED)
    text = "x" * 2_000_000
    for record in deltas(text, 10_000):
        waiting.take_delta("r", NAMED, record)
    assert sum(len(record.value) for record in iter(inbox.pop, None)) <= 256 * 1024
    again = Inbox()
    for record in deltas(text, 10_000):
        again.put(record)
    waiting.take("r", NAMED, whole(text))
    told = await events(waiting, again, answered)
    assert Reader.of([event for event in told if isinstance(event, Delta | Whole)]).has(answer({"content": text}))


async def test_who_waits_hears_a_beat_and_at_last_that_it_has_waited_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_module, "BEAT_S", 0.01)
    waiting, inbox = Waiting(10), Inbox()
    told = await events(waiting, inbox, waiting.expect("r", inbox), most_wait_s=0.1)
    assert {type(event) for event in told[:-1]} == {Beat}
    assert isinstance(told[-1], StillWaits)


async def test_a_broken_stream_ends_at_once() -> None:
    waiting, inbox = Waiting(10), Inbox()
    inbox.put(arrived(0, encode_delta([chunk({"content": "a"})])))
    inbox.put(arrived(0, encode_delta([chunk({"content": "b"})]), epoch=2))
    told = await events(waiting, inbox, waiting.expect("r", inbox))
    assert [type(event) for event in told] == [Delta, Broken]
