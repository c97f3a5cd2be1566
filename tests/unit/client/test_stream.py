"""A stream waits in bounded memory and time, and ends once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from headrace_client.answers import Answer
from headrace_client.deltas import Inbox
from headrace_client.errors import Closed, Diverged, NoAnswer
from headrace_client.follower import Delta
from headrace_client.publisher import Published
from headrace_client.stream import Stream
from tests.unit.client.test_follower import answer, chunk, spoken

PUBLISHED = Published("r", "a", "agent.requests.normal", 0, 1, 0)


class Setting:
    """A stream whose deltas and answer the test gives."""

    def __init__(self, patience_s: float = 30.0, give_up_in_s: float | None = None) -> None:
        loop = asyncio.get_running_loop()
        self.inbox = Inbox()
        self.inbox.belong_to(PUBLISHED.event_id)
        self.answer: asyncio.Future[Answer] = loop.create_future()
        give_up_at = None if give_up_in_s is None else loop.time() + give_up_in_s
        self.stream = Stream(PUBLISHED, self.inbox, self.answer, patience_s, give_up_at, self._cancel)

    def say(self, text: str, count: int | None = None, event_id: str = PUBLISHED.event_id, begin: int = 0) -> None:
        for headers, value in spoken(text)[begin:count]:
            self.inbox.put(event_id, headers, value)

    async def _cancel(self, published: Published, reason: str | None) -> None:
        raise AssertionError


async def text_of(stream: Stream) -> str:
    return "".join([event.text async for event in stream if isinstance(event, Delta)])


async def test_deltas_come_before_the_answer_and_the_answer_ends_it() -> None:
    setting = Setting()
    setting.say("hello", 3)
    reading = asyncio.create_task(text_of(setting.stream))
    await asyncio.sleep(0)
    setting.say("hello", begin=3)
    setting.answer.set_result(answer({"content": "hello"}))
    assert await reading == "hello"
    assert (await setting.stream.answer()).text == "hello"
    assert await text_of(setting.stream) == ""


# inclusionAI/Avernet#2057, openai/openai-agents-python#2222: wait_for cancels __anext__, and a generator ends by that
async def test_a_wait_that_was_given_up_loses_nothing() -> None:
    setting = Setting()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(setting.stream), 0.01)
    setting.say("hello")
    setting.answer.set_result(answer({"content": "hello"}))
    assert await text_of(setting.stream) == "hello"


async def test_a_reader_that_is_slow_holds_256_kilobytes_and_has_the_whole_text() -> None:
    setting, text = Setting(), "x" * 20_000
    setting.say(text)
    assert setting.inbox._size <= 256 * 1024
    setting.answer.set_result(answer({"content": text}))
    assert await text_of(setting.stream) == text


async def test_a_strangers_deltas_are_not_told() -> None:
    setting = Setting()
    setting.say("forged", event_id="agent.requests.normal:0:99")
    setting.say("true")
    setting.answer.set_result(answer({"content": "true"}))
    assert await text_of(setting.stream) == "true"


async def test_what_came_before_the_ack_is_sorted_by_it() -> None:
    inbox = Inbox()
    headers, value = spoken("x")[0]
    inbox.put("agent.requests.normal:0:99", headers, b"forged")
    inbox.put(PUBLISHED.event_id, headers, value)
    inbox.belong_to(PUBLISHED.event_id)
    assert inbox.pop() == (headers, value)
    assert (inbox.pop(), inbox._size) == (None, 0)


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        (answer({"content": "other"}), Diverged),
        (Closed("closed"), Closed),
        (None, NoAnswer),
    ],
)
async def test_every_end_is_told_once(outcome: Any, error: type[Exception]) -> None:
    setting = Setting(patience_s=0.05)
    setting.say("hello", 3)
    if isinstance(outcome, Answer):
        setting.answer.set_result(outcome)
    elif outcome is not None:
        setting.answer.set_exception(outcome)
    assert [await anext(setting.stream) for _ in range(3)][1:] == [Delta((chunk({"content": each}),)) for each in "he"]
    with pytest.raises(error):
        await anext(setting.stream)
    assert await text_of(setting.stream) == ""
    with pytest.raises(error):
        await setting.stream.answer()


async def test_patience_counts_from_the_last_delta_and_a_limit_of_ones_own_does_not() -> None:
    patient, limited = Setting(patience_s=0.2), Setting(patience_s=0.2, give_up_in_s=0.2)
    for number in range(4):
        await asyncio.sleep(0.1)
        patient.say("hello", number + 1, begin=number)
        assert isinstance(await anext(patient.stream), Delta)
    with pytest.raises(NoAnswer):
        await anext(limited.stream)
