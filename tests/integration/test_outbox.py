"""The outbox on a real broker: batches, acks, topics that are not there, limits that are too small."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import TopicPartition

from ops.admin.records import open_reader, partitions_of, read_until
from ops.brokers import Broker
from schemas import limits
from streams.delivery.batch import Message
from streams.delivery.delivery import Delivery
from streams.delivery.outbox import Outbox
from streams.delivery.reply_topics import KnownReplyTopics
from streams.kafka.cluster import Cluster, cluster_of
from streams.pipeline import Outcome
from tests.support.requests import SampleSource, pending, until


class CountingClient:
    """A client that counts the requests and batches it is given to write."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.requests = self.batches = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def send(self, node_id: int, request: Any) -> Any:
        self.requests += 1
        self.batches += sum(len(partitions) for _, partitions in request._topics)
        return await self._client.send(node_id, request)


class Topics:
    """Makes, deletes and reads topics."""

    def __init__(self, admin: AIOKafkaAdminClient, options: dict[str, Any]) -> None:
        self._admin = admin
        self._options = options

    async def make(self, name: str, partitions: int = 1, **config: str) -> str:
        settings = {key.replace("_", "."): value for key, value in config.items()}
        await self._admin.create_topics([NewTopic(name, partitions, 1, topic_configs=settings)])
        await self._until_listed(name, True)
        return name

    async def delete(self, name: str) -> None:
        await self._admin.delete_topics([name])
        await self._until_listed(name, False)

    async def _until_listed(self, name: str, wanted: bool) -> None:
        async with asyncio.timeout(60):
            while (name in await self._admin.list_topics()) != wanted:  # noqa: ASYNC110 - the broker tells nobody
                await asyncio.sleep(0.05)

    async def records(self, name: str) -> list[Any]:
        """All there is in the topic now."""
        async with open_reader(self._options) as reader:
            partitions = await partitions_of(reader, [name])
            reader.assign(partitions)
            begin, end = await reader.beginning_offsets(partitions), await reader.end_offsets(partitions)
            return [record async for record in read_until(reader, begin, end)]

    async def values(self, name: str) -> list[bytes]:
        return [record.value for record in await self.records(name)]


@pytest.fixture
def options(broker: Broker) -> dict[str, Any]:
    return {"bootstrap_servers": broker.bootstrap_servers}


@pytest.fixture
async def topics(options: dict[str, Any]) -> AsyncIterator[Topics]:
    admin = AIOKafkaAdminClient(**options)
    await admin.start()
    yield Topics(admin, options)
    await admin.close()


@pytest.fixture
async def producer(options: dict[str, Any]) -> AsyncIterator[AIOKafkaProducer]:
    made = AIOKafkaProducer(**options, acks="all", request_timeout_ms=2000)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def client(producer: AIOKafkaProducer) -> CountingClient:
    return CountingClient(producer.client)


@pytest.fixture
async def outbox(client: CountingClient) -> AsyncIterator[Outbox]:
    made = Outbox(Cluster(client), batch_bytes=64 * 1024, timeout_s=2)
    yield made
    await made.stop()


def post_all(
    outbox: Outbox,
    topic: str,
    values: Sequence[bytes],
    source: SampleSource,
    on_refused: Callable[[], None] | None = None,
) -> None:
    for index, value in enumerate(values):
        message = Message(b"key", value, [("name", b"header")], source, index, on_refused)
        outbox.post(TopicPartition(topic, 0), message)


def numbered(count: int, size: int = 8) -> list[bytes]:
    return [str(number).rjust(size, "0").encode() for number in range(count)]


async def test_what_is_posted_in_one_turn_travels_together_and_arrives_in_order(
    topics: Topics, client: CountingClient, outbox: Outbox, unique: Callable[[str], str]
) -> None:
    topic, source = await topics.make(unique("outbox")), SampleSource()
    post_all(outbox, topic, numbered(300), source)
    assert source.finished == []
    await until(lambda: len(source.finished) == 300)
    assert client.batches == 1
    assert source.finished == list(range(300))
    records = await topics.records(topic)
    assert [record.value for record in records] == numbered(300)
    assert {(record.key, record.headers) for record in records} == {(b"key", (("name", b"header"),))}


async def test_what_does_not_fit_into_a_batch_goes_into_the_next(
    topics: Topics, client: CountingClient, outbox: Outbox, unique: Callable[[str], str]
) -> None:
    topic, source = await topics.make(unique("outbox")), SampleSource()
    post_all(outbox, topic, numbered(100, size=2000), source)
    await until(lambda: len(source.finished) == 100)
    assert 4 <= client.batches <= 8
    assert await topics.values(topic) == numbered(100, size=2000)


async def test_nothing_is_finished_that_the_broker_does_not_have(
    topics: Topics, outbox: Outbox, unique: Callable[[str], str]
) -> None:
    """A consumer that looks at the moment of the finish finds the message."""
    topic = await topics.make(unique("outbox"))
    there: list[int] = []
    looks: set[asyncio.Task[None]] = set()

    class LookingSource(SampleSource):
        def finish(self, start: int, stop: int | None = None) -> None:
            super().finish(start, stop)
            looks.add(asyncio.create_task(self.look(start, start + 1 if stop is None else stop)))

        async def look(self, start: int, stop: int) -> None:
            found = await topics.values(topic)
            assert {str(index).rjust(8, "0").encode() for index in range(start, stop)} <= set(found)
            there.extend(range(start, stop))

    source = LookingSource()
    for number, value in enumerate(numbered(150)):
        outbox.post(TopicPartition(topic, 0), Message(None, value, [], source, number))
        await asyncio.sleep(0.002)
    await until(lambda: len(there) == 150)
    assert len(looks) > 1
    await asyncio.gather(*looks)


async def test_a_topic_that_is_not_there_is_waited_for_and_its_partitions_are_held_meanwhile(
    topics: Topics, outbox: Outbox, unique: Callable[[str], str]
) -> None:
    topic, source = unique("outbox"), SampleSource()
    post_all(outbox, topic, numbered(3), source)
    await until(lambda: source.marks)
    assert (source.marks[-1], source.finished) == (True, [])
    await topics.make(topic)
    await until(lambda: len(source.finished) == 3)
    assert source.marks[-1] is False
    assert await topics.values(topic) == numbered(3)


async def test_what_waits_for_an_ack_is_not_overtaken(
    topics: Topics, outbox: Outbox, unique: Callable[[str], str]
) -> None:
    topic, source, later = unique("outbox"), SampleSource(), SampleSource()
    post_all(outbox, topic, numbered(3), source)
    await until(lambda: source.marks)  # the broker has refused them, and they will be sent again
    post_all(outbox, topic, numbered(6)[3:], later)
    await topics.make(topic)
    await until(lambda: len(later.finished) == 3)
    assert source.finished == [0, 1, 2]
    assert await topics.values(topic) == numbered(6)


async def test_a_topic_that_was_deleted_and_made_again_gets_what_came_meanwhile(
    topics: Topics, outbox: Outbox, unique: Callable[[str], str]
) -> None:
    topic, before, after = await topics.make(unique("outbox")), SampleSource(), SampleSource()
    post_all(outbox, topic, numbered(5), before)
    await until(lambda: len(before.finished) == 5)
    await topics.delete(topic)
    post_all(outbox, topic, numbered(7), after)
    await until(lambda: after.marks)
    assert after.finished == []
    await topics.make(topic)
    await until(lambda: len(after.finished) == 7)
    assert after.marks[-1] is False
    assert await topics.values(topic) == numbered(7)


async def test_a_batch_larger_than_its_topic_takes_is_sent_message_by_message(
    topics: Topics, client: CountingClient, outbox: Outbox, unique: Callable[[str], str]
) -> None:
    topic, source = await topics.make(unique("outbox"), max_message_bytes="2000"), SampleSource()
    post_all(outbox, topic, numbered(60, size=500), source)
    await until(lambda: len(source.finished) == 60)
    assert sorted(source.finished) == list(range(60))
    assert sorted(await topics.values(topic)) == numbered(60, size=500)
    assert True not in source.marks


async def test_one_message_that_is_too_large_is_refused_and_its_neighbours_are_not(
    topics: Topics, outbox: Outbox, unique: Callable[[str], str]
) -> None:
    topic, source = await topics.make(unique("outbox"), max_message_bytes="2000"), SampleSource()
    refused: list[int] = []
    values = [b"small", b"x" * 3000, b"also small"]
    for index, value in enumerate(values):
        message = Message(None, value, [], source, index, lambda index=index: refused.append(index))  # type: ignore[misc]
        outbox.post(TopicPartition(topic, 0), message)
    await until(lambda: len(source.finished) == 2 and refused)
    assert (sorted(source.finished), refused) == ([0, 2], [1])
    assert sorted(await topics.values(topic)) == [b"also small", b"small"]


async def test_a_value_larger_than_any_topic_takes_travels_compressed(
    topics: Topics, outbox: Outbox, unique: Callable[[str], str]
) -> None:
    topic, source = await topics.make(unique("outbox")), SampleSource()
    post_all(outbox, topic, [b"x" * (limits.ANSWER_RECORD_BYTES + 1)], source)
    await until(lambda: source.finished)
    assert [len(value) for value in await topics.values(topic)] == [limits.ANSWER_RECORD_BYTES + 1]


async def test_answers_to_partitions_that_moved_away_are_given_up(
    client: CountingClient, outbox: Outbox, unique: Callable[[str], str]
) -> None:
    source = SampleSource()
    post_all(outbox, unique("outbox"), numbered(3), source)
    await until(lambda: source.marks)
    source.live = False
    await until(lambda: not outbox._jobs._tasks)
    given_up_at = client.batches
    assert given_up_at <= 3
    assert source.finished == []


async def test_stopping_leaves_unfinished_what_is_not_acked(outbox: Outbox, unique: Callable[[str], str]) -> None:
    source = SampleSource()
    post_all(outbox, unique("outbox"), numbered(3), source)
    await asyncio.sleep(0)
    await outbox.stop()
    assert (source.finished, outbox._jobs._tasks) == ([], set())


async def test_an_answer_larger_than_its_reply_topic_takes_becomes_an_error_there(
    topics: Topics, producer: AIOKafkaProducer, outbox: Outbox, unique: Callable[[str], str]
) -> None:
    topic = await topics.make(unique("agent.responses.small"), partitions=3, max_message_bytes="20000")
    await producer.partitions_for(topic)
    source = SampleSource()
    delivery = Delivery(cluster_of(producer), outbox, on_paid=lambda: None, now=lambda: 1010.0)
    payload = orjson.dumps({"text": "x" * 40_000})
    request = pending(source=source, reply_topic=topic)
    delivery.respond(request, Outcome("ok", payload=payload, provider="sim", attempts=1))
    await until(lambda: source.finished)
    (record,) = await topics.records(topic)
    value = orjson.loads(record.value)
    assert (value["request_id"], value["error"]["type"]) == (request.request_id, "answer_too_large")
    assert dict(record.headers)["ce_id"] == request.event_id


async def test_a_reply_topic_is_known_once_it_was_looked_up_and_never_created(
    topics: Topics, producer: AIOKafkaProducer, unique: Callable[[str], str]
) -> None:
    reply_topics = KnownReplyTopics(cluster_of(producer), ("agent.responses.",))
    there, nowhere = await topics.make(unique("agent.responses.there")), unique("agent.responses.nowhere")
    assert reply_topics.is_known(there) is None
    assert await asyncio.gather(*(reply_topics.look_up(name) for name in (there, nowhere))) == [True, False]
    assert [reply_topics.is_known(name) for name in (there, nowhere)] == [True, False]
    for illegal in ("", "agent.requests.high", "agent.responses./", "agent.responses." + "x" * 300):
        assert reply_topics.is_known(illegal) is False
    assert nowhere not in await topics._admin.list_topics()
