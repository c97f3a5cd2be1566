"""Streams and cancels of the Python client: a real broker, real workers, a simulator that streams at a pace."""

import asyncio
import time
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from headrace_client import Answer, Cancelled, Delta, Headrace, NoAnswer, Rejected, Stream, TopicMissing
from tests.support.asking import chat, client_of, make_topic, running
from tests.support.pipeline import Pipeline, agent_on
from topics.names import DELTAS

TOKENS = 60


def long_chat(text: str, **simulated: object) -> dict[str, Any]:
    return chat(text, id=text, **{"completion_tokens": TOKENS, **simulated}) | {"max_tokens": TOKENS}


async def text_of(stream: Stream) -> str:
    return "".join([event.text async for event in stream if isinstance(event, Delta)])


async def read(client: Headrace, text: str, **options: Any) -> tuple[str, Answer]:
    """What was told of an answer, and the answer."""
    async with client.stream(long_chat(text), **options) as stream:
        return await text_of(stream), await stream.answer()


async def test_an_answer_is_told_as_it_is_made_and_is_the_answer_in_the_end(pipeline: Pipeline) -> None:
    await pipeline.simulator.configure(per_token_ms=60)
    async with running(pipeline), client_of(pipeline) as client:
        times, told = [], ""
        async with client.stream(long_chat("hello"), priority="high", timeout_s=60) as stream:
            async for event in stream:
                assert isinstance(event, Delta)
                times.append(time.monotonic())
                told += event.text
            answer = await stream.answer()
        assert told == answer.text
        assert times[-1] - times[0] > TOKENS * 0.06 / 4, "they came over the time in which they were made"
        assert answer.event_id == stream.published.event_id
        assert answer.event_id.startswith("agent.requests.high:")
        assert answer.usage.completion_tokens == TOKENS
        with pytest.raises(Rejected):
            async with client.stream({"messages": [{"role": "user", "content": "which model?"}]}) as broken:
                await text_of(broken)
        with pytest.raises(ValueError, match="only chats"):
            async with client.stream({"model": "small", "input": "hi"}, operation="embeddings"):
                pass
        assert client.waiting == 0


async def test_many_streams_at_once_share_a_lane_and_each_has_its_own(pipeline: Pipeline) -> None:
    await make_topic(pipeline, "agent.responses.mine")
    async with (
        running(pipeline),
        client_of(pipeline) as shared,
        client_of(pipeline, reply_topic="agent.responses.mine", lane=2) as own,
        client_of(pipeline, lane=3) as other,
    ):
        clients = {"shared": shared, "own": own, "other": other}
        asked = [read(client, f"{name} {n}") for n in range(20) for name, client in clients.items()]
        assert all(told == answer.text for told, answer in await asyncio.gather(*asked))
        assert (await own.ask(chat("no stream"))).ok
        twins = await asyncio.gather(*(read(shared, "same", request_id="r-1") for _ in range(3)))
        assert len({answer.event_id for _, answer in twins}) == 1
        assert len({told for told, _ in twins}) == 1
    with pytest.raises(TopicMissing, match="no partition 9"):
        async with client_of(pipeline, reply_topic="agent.responses.mine", lane=9):
            pass


async def test_an_answer_from_the_cache_is_told_as_well(pipeline: Pipeline) -> None:
    async with running(pipeline), client_of(pipeline) as client:
        question = {**long_chat("again"), "temperature": 0}
        first = await client.ask(question)
        async with client.stream(question) as stream:
            assert await text_of(stream) == first.text
            assert (await stream.answer()).cache == "memory"


async def test_a_worker_that_is_killed_in_the_middle_costs_a_stream_nothing(pipeline: Pipeline) -> None:
    await pipeline.simulator.configure(per_token_ms=100)
    async with running(pipeline, kafka__session_timeout="3s") as fleet, client_of(pipeline) as client:
        await fleet.start(1)
        agents = [agent_on(number) for number in (0, 1, 4, 5, 8, 9)]  # both workers have some
        reading = [
            asyncio.create_task(read(client, f"q{n}", agent_id=agent, timeout_s=120)) for n, agent in enumerate(agents)
        ]
        await pipeline.simulator.wait_in_flight(len(agents))
        await asyncio.sleep(1)
        await fleet.replace(fleet.workers[0])
        for told, answer in await asyncio.gather(*reading):
            assert told == answer.text
            assert answer.usage.completion_tokens == TOKENS
    assert any(count > 1 for count in pipeline.simulator.calls_by_id().values()), "the killed worker had none of them"


async def test_a_reader_that_is_slow_has_the_whole_text_and_holds_little(pipeline: Pipeline) -> None:
    await pipeline.simulator.configure(per_token_ms=1)
    async with running(pipeline), client_of(pipeline) as client:
        slow = chat("slow", completion_tokens=4000) | {"max_tokens": 4000}
        async with client.stream(slow, timeout_s=60) as stream:
            await anext(stream)
            await asyncio.sleep(6)
            assert stream._inbox._size <= 256 * 1024
            (answer,) = [each async for each in _last(stream)]
        assert len(answer.text) > 4000


async def _last(stream: Stream) -> Any:
    told = await text_of(stream)
    answer = await stream.answer()
    assert answer.text.endswith(told)
    yield answer


async def test_a_strangers_deltas_are_not_believed_and_lost_ones_are_filled(pipeline: Pipeline) -> None:
    """A stranger writes under the same request_id; and one who knows the record too writes a number that makes a gap."""
    await pipeline.simulator.configure(per_token_ms=20)
    forged = orjson.dumps([{"choices": [{"index": 0, "delta": {"content": "APPROVED"}}]}])
    async with (
        running(pipeline),
        client_of(pipeline, lane=1) as client,
        AIOKafkaProducer(**pipeline.client_options, acks="all") as producer,
        client.stream(long_chat("mine", latency_ms=1500), request_id="r-1") as stream,
    ):
        for place, epoch, seq in (("agent.requests.normal:0:999", 1, 0), (stream.published.event_id, 1, 5)):
            headers = [("request_id", b"r-1"), ("ce_id", place.encode())]
            headers += [("epoch", b"%d" % epoch), ("seq", b"%d" % seq)]
            await producer.send_and_wait(DELTAS, forged, partition=1, headers=headers)
        told = await text_of(stream)
        assert told == (await stream.answer()).text
        assert told


async def test_a_stream_is_cancelled_and_its_call_closed(pipeline: Pipeline) -> None:
    await pipeline.simulator.configure(per_token_ms=100)
    async with running(pipeline), client_of(pipeline) as client:
        async with client.stream(long_chat("enough")) as stream:
            while not (await anext(stream)).text:  # type: ignore[union-attr]
                pass
            await stream.cancel("the user closed the window")
            with pytest.raises(Cancelled, match="closed the window"):
                await stream.answer()
        async with asyncio.timeout(60):
            while (await pipeline.simulator.stats())["in_flight"]:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)


async def test_what_another_asks_is_cancelled_by_its_agent_or_its_record(pipeline: Pipeline) -> None:
    async with running(pipeline), client_of(pipeline) as one, client_of(pipeline) as two:
        asked = [
            asyncio.create_task(one.ask(chat(name, latency_ms=60_000), request_id=name, timeout_s=90))
            for name in ("by agent", "by record")
        ]
        published = await one.publish(chat("away", latency_ms=60_000), request_id="away", agent_id="agent-2")
        await pipeline.simulator.wait_in_flight(3)
        await two.cancel("by agent")
        with pytest.raises(Cancelled):
            await asked[0]
        assert not asked[1].done()
        await two.cancel("by record", agent_id="agent-1")
        await two.cancel("away", event_id=published.event_id)
        with pytest.raises(Cancelled):
            await asked[1]
        await pipeline.wait_all_committed(60)


async def test_a_stream_that_nobody_answers_ends_and_leaves_nothing_behind(pipeline: Pipeline) -> None:
    async with client_of(pipeline, timeout_s=0.3, grace_s=0.2) as client:
        async with client.stream(long_chat("nobody")) as stream:
            with pytest.raises(NoAnswer):
                await anext(stream)
            assert [event async for event in stream] == []
        assert (client.waiting, client._deltas._inboxes) == (0, {})
    assert not [task for task in asyncio.all_tasks() if "headrace_client" in repr(task.get_coro())]


async def test_a_fleet_without_deltas_says_so_and_is_not_given_the_topic(pipeline: Pipeline) -> None:
    async with client_of(pipeline) as client:
        client.topics = type(client.topics)("elsewhere.")
        with pytest.raises(TopicMissing, match=r"elsewhere\.agent\.cancels"):
            await client.cancel("r")
        with pytest.raises(TopicMissing, match=r"elsewhere\.agent\.deltas"):
            async with client.stream(long_chat("nowhere")):
                pass
