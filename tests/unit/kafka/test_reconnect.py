"""Which broker is asked for metadata, what an answer means, and which connections are closed. Connections are played."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataResponse_v1
from structlog.testing import capture_logs

from streams.kafka import reconnect
from streams.kafka.backoff import Backoff
from streams.kafka.reconnect import ReconnectingClient, reconnecting
from tests.support.requests import until
from tests.support.stopwatch import Stopwatch

TOPIC = [(0, "t", False, [(0, 0, 1, [1], [1])])]
NEVER = object()


def told(*brokers: int, host: str = "old") -> MetadataResponse_v1:
    return MetadataResponse_v1([(number, host, number, None) for number in brokers], -1, TOPIC if brokers else [])


class Played:
    """A connection that answers as its script says; without one it is silent."""

    def __init__(self, answer: Any) -> None:
        self.answer, self.asked, self.open = answer, 0, True
        self._requests: list[Any] = []
        self._last_action = time.monotonic()

    async def send(self, request: Any, expect_response: bool = True) -> Any:
        self.asked += 1
        if self.answer is NEVER:
            await asyncio.sleep(60)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def connected(self) -> bool:
        return self.open

    def close(self, reason: Any = None, exc: Any = None) -> None:
        self.open = False


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconnect, "_ANSWER_S", 0.05)
    monkeypatch.setattr(reconnect, "_CONNECT_S", 0.1)


async def client_of(
    answers: Mapping[str, Any], *, known: Sequence[int] = (1, 2), bootstrap: str = "boot:9"
) -> tuple[ReconnectingClient, dict[str, Played]]:
    """A client that knows these brokers, and the connections by `host:port`; what is not among them refuses."""
    client: Any = AIOKafkaClient(bootstrap_servers=bootstrap)
    reconnecting(client)
    made = {address: Played(answer) for address, answer in answers.items()}

    async def connect(host: str, port: int, on_close: Callable[..., None] | None = None) -> Played:
        if f"{host}:{port}" not in made:
            raise KafkaConnectionError("refused")
        return made[f"{host}:{port}"]

    client._connect = connect
    client.cluster.update_metadata(told(*known))
    return client, made


async def ask(client: Any) -> bool:
    return bool(await client._metadata_update(client.cluster, {"t"}))


async def test_a_broker_that_is_silent_does_not_keep_the_next_one_from_being_asked() -> None:
    for _ in range(5):  # in whatever order
        client, made = await client_of({"old:1": NEVER, "old:2": told(2)})
        watch = Stopwatch()
        assert await ask(client)
        assert watch.running_s < 10
        assert made["old:2"].asked == 1


async def test_an_answer_without_brokers_is_an_answer_and_nobody_else_is_asked_for_it() -> None:
    """A broker that was away is fenced for a moment, and names none, not even itself."""
    client, made = await client_of({"old:1": told(), "boot:9": told(3, host="new")}, known=[1])
    assert not await ask(client)
    assert (made["old:1"].asked, made["boot:9"].asked) == (1, 0)
    assert client._failures == 0
    assert {broker.nodeId for broker in client.cluster.brokers()} == {1}


async def test_where_every_known_broker_is_gone_the_bootstrap_addresses_are_asked() -> None:
    """KAFKA-13277 in kind."""
    client, made = await client_of({"boot:9": told(1, 2, host="new")})
    assert await ask(client)
    assert {(broker.host, broker.nodeId) for broker in client.cluster.brokers()} == {("new", 1), ("new", 2)}
    assert not made["boot:9"].open


async def test_where_nobody_answers_what_was_known_stays() -> None:
    client, _ = await client_of({"old:1": KafkaConnectionError("closed"), "old:2": NEVER, "boot:9": told()})
    assert not await ask(client)
    assert client._failures == 1
    assert {broker.nodeId for broker in client.cluster.brokers()} == {1, 2}


@pytest.mark.parametrize(("waits_s", "named", "stays"), [(60, [2], False), (60, [1, 2], True), (-60, [2], True)])
async def test_a_stuck_connection_is_closed_when_the_cluster_no_longer_names_its_broker(
    waits_s: float, named: list[int], stays: bool
) -> None:
    """kafkajs#1783 and kafka#6522 in kind. What is answered in time, or of a broker that is named, is left alone."""
    client, made = await client_of({"old:1": NEVER, "old:2": told(*named)})
    stuck = await client._get_conn(1, group=ConnectionGroup.COORDINATION)
    stuck._requests.append("fetch")
    stuck._last_action = time.monotonic() - waits_s
    assert await ask(client)
    assert made["old:1"].open == stays


async def test_the_stuck_broker_is_asked_last() -> None:
    """sarama#2148 in kind: metadata was asked of the isolated broker for 30 minutes."""
    for _ in range(5):
        client, made = await client_of({"old:1": NEVER, "old:2": told(1, 2)})
        stuck = await client._get_conn(1)
        stuck._requests.append("fetch")
        stuck._last_action = time.monotonic() - 60
        assert await ask(client)
        assert made["old:1"].asked == 0


async def test_a_broker_that_hangs_while_it_is_connected_to_does_not_keep_others_waiting() -> None:
    """kafka-node#1041 in kind."""
    client: Any
    client, made = await client_of({"old:2": told(2)})
    connect = client._connect

    async def hangs(host: str, port: int, on_close: Any = None) -> Any:
        return await (asyncio.sleep(60) if port == 1 else connect(host, port, on_close))

    client._connect = hangs
    hanging = asyncio.create_task(client._get_conn(1))
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        assert await client._get_conn(2) is made["old:2"]
    hanging.cancel()


async def test_metadata_is_asked_for_while_an_answer_takes_long() -> None:
    """kafkajs#950 in kind."""
    client, _ = await client_of({"old:1": NEVER})
    sending = asyncio.create_task(client.send(1, "fetch"))
    await until(lambda: client._md_update_fut is not None)
    sending.cancel()


def test_pauses_double_up_to_the_longest_one_and_begin_anew_with_success() -> None:
    backoff, now = Backoff(between=lambda least, most: most), 100.0
    waited = []
    for _ in range(6):
        backoff.failed("a", now, (0.5, 5.0))
        until = next(step for step in range(1, 1000) if backoff.may("a", now + step / 10)) / 10
        waited.append(until)
        now += until
    assert waited == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    backoff.worked("a")
    assert backoff.may("a", now)


async def test_the_loop_that_keeps_metadata_fresh_goes_on_after_a_fault() -> None:
    """An answer that cannot be read ended it in aiokafka, and with it every look for a new leader."""
    client: Any
    client, made = await client_of({"boot:9": told(1, 2), "old:1": told(1, 2), "old:2": told(1, 2)}, known=[])
    await client.bootstrap()
    for address in ("old:1", "old:2"):
        made[address].answer = object()
    with capture_logs() as logs:
        asking = client.force_metadata_update()
        await until(lambda: logs)
        assert logs[0]["loop"] == "metadata"
        for address in ("old:1", "old:2"):
            made[address].answer = told(1, 2)
        async with asyncio.timeout(30):
            assert await asking
    client._conns.clear()
    await client.close()


async def test_a_client_more_waits_for_a_cluster_that_has_answered_and_an_address_that_never_has_is_wrong_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconnect, "_answered", set())
    monkeypatch.setattr(reconnect, "_BOOTSTRAP_AGAIN_S", 0.01)
    first, made = await client_of({"boot:9": told(1)})
    silent = made.pop("boot:9")
    with pytest.raises(KafkaConnectionError):
        await asyncio.wait_for(first.bootstrap(), 60)
    made["boot:9"] = silent
    await first.bootstrap()
    await first.close()

    second, made = await client_of({})
    bootstrapping = asyncio.create_task(second.bootstrap())
    await asyncio.sleep(0.05)
    assert not bootstrapping.done()
    made["boot:9"] = Played(told(1))
    await asyncio.wait_for(bootstrapping, 30)
    await second.close()

    monkeypatch.setattr(reconnect, "_BOOTSTRAP_S", 0.05)
    third, _ = await client_of({})
    with pytest.raises(KafkaConnectionError):
        await asyncio.wait_for(third.bootstrap(), 60)
