"""What goes wrong in public between request and reply over a log, tried on the Python client; each with its source."""

import asyncio
import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from headrace_client import Closed, Headrace, HeadraceError, NotPublished
from ops.brokers import kafka_jars
from ops.brokers.apache import ApacheBroker
from tests.support.asking import an_answer, chat, client_of, first_answers, make_topic, running
from tests.support.pipeline import Pipeline, fresh_topics
from tests.support.simulator import Simulator
from tests.support.stopwatch import Stopwatch
from topics.headers import response_headers


# celery/celery#6912 (results are never fetched again after a restart), celery/celery#4857, robinhood/faust#99
async def test_answers_come_after_the_broker_was_restarted(tmp_path: Path) -> None:
    if (reason := kafka_jars.missing()) is not None:
        pytest.skip(reason)
    broker = ApacheBroker(data_dir=tmp_path / "log")
    try:
        await fresh_topics({"bootstrap_servers": broker.bootstrap_servers})
        async with Simulator(tmp_path) as simulator:
            pipeline = Pipeline(broker, "workers", tmp_path, simulator)
            async with running(pipeline, kafka__session_timeout="3s"), client_of(pipeline) as client:
                await client.ask(chat("before"))
                under_way = [
                    asyncio.create_task(client.ask(chat(f"{n}", latency_ms=3000), timeout_s=150, agent_id=f"agent-{n}"))
                    for n in range(10)
                ]
                await simulator.wait_in_flight(10)
                port = int(broker.bootstrap_servers.rpartition(":")[2])
                assert broker.pid is not None
                os.kill(broker.pid, signal.SIGKILL)
                await asyncio.to_thread(broker.stop)
                broker = await asyncio.to_thread(ApacheBroker, port, tmp_path / "log")
                assert len({answer.agent_id for answer in await asyncio.gather(*under_way)}) == 10
                assert (await client.ask(chat("after"), timeout_s=120)).ok
    finally:
        broker.stop()


# aio-libs/aiokafka#1101 (send and stop wait without end while Kafka is down), IBM/sarama#2377, librdkafka#1078
async def test_a_broker_that_stands_still_holds_neither_a_question_nor_the_end(pipeline: Pipeline) -> None:
    assert pipeline.broker.pid is not None
    client = client_of(pipeline, publish_timeout_s=1.0, close_timeout_s=1.0, timeout_s=2.0, grace_s=0.0)
    async with client:
        os.kill(pipeline.broker.pid, signal.SIGSTOP)
        try:
            watch = Stopwatch()
            with pytest.raises(NotPublished):
                await client.ask(chat("nobody takes this"))
            with pytest.raises(NotPublished):
                await client.publish(chat("nor this"))
            assert watch.running_s < 20
            assert client.waiting == 0
            watch = Stopwatch()
            await client.close()
            closed_s = watch.running_s
        finally:
            os.kill(pipeline.broker.pid, signal.SIGCONT)
    assert closed_s < 20


# spring-projects/spring-kafka#2318, galax-io/gatling-kafka-plugin#79 (the reply was there before anybody listened),
# eclipse-hono/hono#2612 (before the correlation id was stored): an answer from the cache comes within milliseconds
async def test_an_answer_that_comes_at_once_is_never_missed(pipeline: Pipeline) -> None:
    async with running(pipeline):
        for _ in range(5):
            async with client_of(pipeline, timeout_s=60.0) as client:
                question = {**chat("the same for all"), "temperature": 0}
                answers = await asyncio.gather(*(client.ask(question, agent_id=f"agent-{n}") for n in range(100)))
                assert all(answer.ok for answer in answers)


# spring-projects/spring-kafka#731 (instances that share a reply topic report each other's replies as errors)
async def test_clients_that_share_the_response_topic_get_their_own_answers_only(
    pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(pipeline), client_of(pipeline) as one, client_of(pipeline) as two:
        ids = [f"r-{n}" for n in range(50)]  # the same names in both: correlation ids that collide
        asked = [client.ask(chat(f"{index} {i}"), request_id=i) for i in ids for index, client in enumerate((one, two))]
        answers = await asyncio.gather(*asked)
        assert len({answer.event_id for answer in answers}) == 100
        assert not [record for record in caplog.records if record.name == "headrace_client"]


# spring-projects/spring-kafka#544 (stopped, and what was pending timed out later under a misleading name)
async def test_what_is_pending_at_the_end_is_told_at_once(pipeline: Pipeline) -> None:
    async with client_of(pipeline) as client:
        asked = [asyncio.create_task(client.ask(chat(f"{n}"))) for n in range(200)]
        await asyncio.sleep(1)
        watch = Stopwatch()
        await client.close()
        ended = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(each) for each in ended} == {Closed}
        assert watch.running_s < 30


# aio-libs/aiokafka#628 (each poll without records leaves a future behind)
async def test_waiting_for_nothing_leaves_nothing_behind(pipeline: Pipeline) -> None:
    async with client_of(pipeline, timeout_s=0.05, grace_s=0.0) as client:
        for _ in range(3):
            ended = await asyncio.gather(*(client.ask(chat("nobody")) for _ in range(100)), return_exceptions=True)
            assert all(isinstance(each, HeadraceError) for each in ended)
        async with asyncio.timeout(60):
            while any(task.get_name() != "headrace-client-answers" for task in _tasks_of_the_client()):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert client.waiting == 0


def _tasks_of_the_client() -> list[asyncio.Task[object]]:
    return [task for task in asyncio.all_tasks() if "headrace_client" in repr(task.get_coro())]


# spring-projects/spring-kafka#2318 (review: what of partitions that are assigned later?)
async def test_answers_on_partitions_that_were_added_later_are_read(pipeline: Pipeline) -> None:
    topic = "agent.responses.grows"
    await make_topic(pipeline, topic, partitions=1)
    async with client_of(pipeline, reply_topic=topic, metadata_max_age_ms=500) as client:
        since = datetime.now(UTC)  # a reader that begins late reads what came meanwhile
        reading = asyncio.create_task(first_answers(client, 3, since=since))
        await asyncio.sleep(1)
        admin = AIOKafkaAdminClient(**pipeline.client_options)
        await admin.start()
        await admin.create_partitions({topic: NewPartitions(3)})
        await admin.close()
        async with AIOKafkaProducer(**pipeline.client_options, metadata_max_age_ms=500) as producer:
            async with asyncio.timeout(30):
                while len(await producer.partitions_for(topic)) < 3:  # noqa: ASYNC110 - the broker has no event for us
                    await asyncio.sleep(0.2)
            for partition in range(3):
                event_id = f"agent.requests.normal:0:{partition}".encode()
                headers = response_headers(event_id=event_id, source=b"/headrace", time=b"", request_id="r")
                await producer.send_and_wait(topic, an_answer("r", "a"), key=b"a", headers=headers, partition=partition)
        assert {answer.event_id[-1] for answer in await reading} == {"0", "1", "2"}


async def test_options_of_the_kafka_clients_arrive(pipeline: Pipeline) -> None:
    async with Headrace(
        pipeline.broker.bootstrap_servers.split(","),
        agent_id="a",
        client_id="billing",
        security_protocol="PLAINTEXT",
        request_timeout_ms=20_000,
    ) as client:
        assert client._options["client_id"] == "billing"
