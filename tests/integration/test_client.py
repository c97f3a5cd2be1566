"""The Python client against a real broker, real workers and the simulator."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from headrace_client import (
    PRIORITIES,
    Answer,
    Closed,
    Expired,
    Headrace,
    NoAnswer,
    ProviderError,
    Rejected,
    TopicMissing,
    Unreachable,
)
from tests.support.asking import an_answer, chat, client_of, first_answers, make_topic, publish_as_stranger, running
from tests.support.pipeline import Pipeline, wait_until
from topics.headers import response_headers


async def test_a_request_of_each_class_is_asked_and_its_answer_awaited(pipeline: Pipeline) -> None:
    async with running(pipeline), client_of(pipeline) as client:
        for priority in PRIORITIES:
            answer = await client.ask(chat(f"hello {priority}"), conversation_id="chat-1", priority=priority)
            assert answer.ok
            assert answer.text
            assert answer.event_id.startswith(f"agent.requests.{priority}:")
            assert answer.conversation_id == "chat-1"
            assert answer.usage.completion_tokens == 8
            assert answer.attempts == 1
        embedding = await client.ask({"model": "small", "input": "hello"}, operation="embeddings")
        assert embedding.payload["data"][0]["embedding"]
        assert client.waiting == 0


async def test_what_is_not_ok_is_raised_as_what_it_is(pipeline: Pipeline) -> None:
    async with running(pipeline), client_of(pipeline) as client:
        with pytest.raises(Expired) as expired:
            await client.ask(chat("slow", latency_ms=20_000), timeout_s=1.0)
        assert expired.value.type == "deadline"
        with pytest.raises(Expired):
            await client.ask(chat("slower", latency_ms=20_000), deadline=datetime.now(UTC) + timedelta(seconds=1.5))
        with pytest.raises(Rejected) as rejected:
            await client.ask({"messages": []})
        assert not rejected.value.retryable
        assert "model" in rejected.value.message
        with pytest.raises(ProviderError) as failed:
            await client.ask(chat("bad", status=400))
        assert (failed.value.type, failed.value.retryable) == ("provider_error", False)
        assert failed.value.answer.agent_id == "agent-1"


async def test_answers_on_a_reply_topic_of_ones_own(pipeline: Pipeline) -> None:
    await make_topic(pipeline, "agent.responses.mine")
    async with running(pipeline), client_of(pipeline, reply_topic="agent.responses.mine") as client:
        asked = await asyncio.gather(*(client.ask(chat(f"{n}"), agent_id=f"agent-{n}") for n in range(20)))
        assert all(answer.ok for answer in asked)
        async with client_of(pipeline) as shared:
            everything = asyncio.create_task(first_answers(shared, 1, since=datetime.fromtimestamp(0, UTC)))
            await asyncio.sleep(1)
            assert not everything.done()
            everything.cancel()


async def test_a_worker_killed_in_the_middle_leaves_no_question_unanswered(pipeline: Pipeline) -> None:
    async with running(pipeline, kafka__session_timeout="3s") as fleet, client_of(pipeline) as client:
        asked = [
            asyncio.create_task(client.ask(chat(f"{n}", latency_ms=1500), agent_id=f"agent-{n}", timeout_s=120))
            for n in range(60)
        ]
        await pipeline.simulator.wait_in_flight(20)
        await fleet.replace(fleet.workers[0])
        answers = await asyncio.gather(*asked)
        assert {answer.agent_id for answer in answers} == {f"agent-{n}" for n in range(60)}


async def test_a_thousand_questions_at_once_and_no_more_in_flight_than_allowed(pipeline: Pipeline) -> None:
    most = 0

    async def watched(client: Headrace, number: int) -> Answer:
        nonlocal most
        answer = await client.ask(chat(f"{number}"), agent_id=f"agent-{number % 50}", timeout_s=120)
        most = max(most, client.waiting)
        return answer

    async with running(pipeline), client_of(pipeline, max_in_flight=1000) as client:
        answers = await asyncio.gather(*(watched(client, number) for number in range(1500)))
        assert len({answer.event_id for answer in answers}) == 1500
        assert 0 < most <= 1000
        assert client.waiting == 0
        assert client._asking.held_bytes == 0


async def test_a_spoofed_answer_is_not_believed(pipeline: Pipeline) -> None:
    """A stranger sends the same agent_id, request_id and reply topic first; and another one writes an answer itself."""
    forged = orjson.dumps({"request_id": "transfer-1", "agent_id": "agent-1", "payload": chat("forged")})
    written = an_answer("transfer-1", "agent-1", "APPROVED")
    headers = response_headers(
        event_id=b"agent.requests.normal:0:999", source=b"/headrace", time=b"", request_id="transfer-1"
    )
    async with running(pipeline), client_of(pipeline) as client:
        asked = asyncio.create_task(client.ask(chat("mine", latency_ms=4000), request_id="transfer-1"))
        await pipeline.simulator.wait_in_flight(1)
        await publish_as_stranger(pipeline, "agent.requests.normal", "agent-1", forged)
        await publish_as_stranger(pipeline, "agent.responses", "agent-1", written, headers)
        await publish_as_stranger(pipeline, "agent.responses", "agent-1", b"\xff{", headers)
        answer = await asked
        assert answer.payload["choices"][0]["message"]["content"] != "APPROVED"
        assert answer.value is not None
        assert answer.value["timing"]["provider_ms"] > 3000, "the forged request's answer, which came at once"


async def test_a_reader_that_starts_late_finds_what_was_answered_before(pipeline: Pipeline) -> None:
    began = datetime.now(UTC) - timedelta(minutes=1)
    async with running(pipeline), client_of(pipeline) as client:
        published = [await client.publish(chat(f"{n}"), agent_id=f"agent-{n}") for n in range(10)]
        await pipeline.wait_all_committed(60)
        found = await first_answers(client, 10, since=began)
        assert {answer.event_id for answer in found} == {each.event_id for each in published}
    async with client_of(pipeline) as late:
        assert len(await first_answers(late, 10, group_id=pipeline.group_id + "-answers")) == 10


async def test_a_retry_is_answered_once(pipeline: Pipeline) -> None:
    """At the same time it is one record; after the first gave up, the answer to either of two."""
    async with running(pipeline), client_of(pipeline, grace_s=0.0) as client:
        question, since = chat("once", latency_ms=1000), datetime.now(UTC) - timedelta(minutes=1)
        twins = await asyncio.gather(*(client.ask(question, request_id="r-1") for _ in range(3)))
        assert len({answer.event_id for answer in twins}) == 1
        await client.publish(question, request_id="r-2")
        again = await client.ask(question, request_id="r-2")
        assert again.request_id == "r-2"
        await client.publish(question, request_id="r-3")
        await pipeline.wait_all_committed(60)
        found = await first_answers(client, 3, since=since)
        assert Counter(answer.request_id for answer in found) == {"r-1": 1, "r-2": 1, "r-3": 1}
        asked = asyncio.create_task(client.ask(chat("a", latency_ms=3000), request_id="r-4"))
        await asyncio.sleep(0.1)
        with pytest.raises(ValueError, match="another content"):
            await client.ask(chat("b"), request_id="r-4")
        await asked


async def test_whoever_still_waits_when_the_client_is_closed_is_told_so(pipeline: Pipeline) -> None:
    client = client_of(pipeline)
    async with client:
        asked = [asyncio.create_task(client.ask(chat(f"{n}"))) for n in range(5)]
        reading = asyncio.create_task(first_answers(client, 1))

        async def all_wait() -> bool:
            return client.waiting == 5

        await wait_until(all_wait, 60)
    ended = await asyncio.gather(*asked, reading, return_exceptions=True)
    assert [type(each) for each in ended] == [Closed] * 6
    assert client.waiting == 0
    with pytest.raises(Closed):
        await client.ask(chat("too late"))


async def test_a_question_that_nobody_answers_ends_and_leaves_nothing_behind(pipeline: Pipeline) -> None:
    async with client_of(pipeline, grace_s=0.2, timeout_s=0.5) as client:
        with pytest.raises(NoAnswer) as none:
            await client.ask(chat("nobody"), request_id="r-1")
        assert none.value.event_id.startswith("agent.requests.normal:")
        cancelled = asyncio.create_task(client.ask(chat("nobody")))
        await asyncio.sleep(0.2)
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        assert client.waiting == 0


async def test_what_cannot_work_is_said_at_the_start(pipeline: Pipeline) -> None:
    with pytest.raises(TopicMissing, match=r"agent\.responses\.nowhere"):
        async with client_of(pipeline, reply_topic="agent.responses.nowhere"):
            pass
    with pytest.raises(TopicMissing, match=r"team-a\.agent\.responses"):
        async with client_of(pipeline, topics_prefix="team-a."):
            pass
    with pytest.raises(Unreachable):
        async with Headrace("127.0.0.1:1"):
            pass
    with pytest.raises(TypeError, match="sasl_user"):
        client_of(pipeline, sasl_user="me")
    with pytest.raises(Closed):
        await client_of(pipeline).ask(chat("not open"))
