"""`headrace cancel` against a worker that runs."""

import asyncio

import orjson
from aiokafka import AIOKafkaProducer

from tests.support.cli import headrace
from tests.support.pipeline import Pipeline, agent_on, request
from topics.names import REQUESTS_NORMAL


async def test_a_request_is_cancelled_by_its_agent_or_its_record_and_its_end_is_told(pipeline: Pipeline) -> None:
    settings, agent = pipeline.settings(), agent_on(2)
    async with pipeline.fleet() as fleet, AIOKafkaProducer(**pipeline.client_options, acks="all") as producer:
        await fleet.start(1)
        for name in ("one", "two"):
            value = orjson.dumps(request(name, latency_ms=60_000))
            sent = await producer.send_and_wait(REQUESTS_NORMAL, value, key=agent.encode())
        await pipeline.simulator.wait_in_flight(2)
        one = await headrace(
            "cancel", "one", "--agent", agent, "--reason", "enough", "--wait", "--json", settings=settings
        )
        answer = orjson.loads(one.out)
        assert (one.code, answer["error"]["type"], answer["attempts"]) == (0, "cancelled", 1)
        assert "enough" in answer["error"]["message"]
        place = f"{sent.topic}:{sent.partition}:{sent.offset}"
        two = await headrace("cancel", "two", "--record", place, "--wait", settings=settings)
        assert (two.code, two.out) == (0, "two  cancelled\n")
        again = await headrace("cancel", "two", "--record", place, "--wait", "--within", "1s", settings=settings)
        assert (again.code, len(again.err.splitlines())) == (1, 1)
        listed = await headrace("audit", "--json", settings=settings)
        told = [each["action"] for each in orjson.loads(listed.out)["actions"]]
        assert [each["request_id"] for each in told if each["action"] == "cancel"] == ["two", "two", "one"]
        async with asyncio.timeout(60):
            while (await pipeline.simulator.stats())["in_flight"]:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)
        await pipeline.wait_all_committed(60)


async def test_an_id_alone_names_nothing_unless_a_front_has_given_it(pipeline: Pipeline) -> None:
    settings = pipeline.settings()
    vague = await headrace("cancel", "one", settings=settings)
    assert (vague.code, "--agent" in vague.err) == (2, True)
    wrong = await headrace("cancel", "one", "--record", "nowhere", settings=settings)
    assert (wrong.code, len(wrong.err.splitlines())) == (2, 1)
    placed = await headrace("cancel", "agent.requests.low:0:7", "--json", settings=settings)
    assert (placed.code, orjson.loads(placed.out)["record"]) == (0, "agent.requests.low:0:7")
