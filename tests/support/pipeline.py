"""One test's pipeline: a broker with fresh topics, a simulator, a settings file, and what the broker knows at the end."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError

from ops.brokers import Broker
from ops.load.ledger import Ledger
from ops.load.traffic import Answer, Traffic
from ops.processes.fleet import Fleet
from streams.kafka import provision
from streams.kafka.admin import running_admin
from tests.support.positions import Positions, committed_positions, end_offsets, group_assignment, read_all
from tests.support.simulator import Simulator
from topics import catalogue, partition_for
from topics.names import V1, Priority, TopicNames

PARTITIONS = 12
SESSION_TIMEOUT = "20s"
"""So that a machine that stands still for seconds ends no session. Who kills a worker waits for its session to end, and sets
a shorter one."""

_POLL_S = 0.1


class Pipeline:
    """What the parts of one test share. Workers are started by the test."""

    def __init__(
        self, broker: Broker, group_id: str, directory: Path, simulator: Simulator, names: TopicNames = V1
    ) -> None:
        self.broker = broker
        self.group_id = group_id
        self.directory = directory
        self.simulator = simulator
        self.names = names
        self.provider: dict[str, object] = {}
        """Settings of the provider beside its usual ones."""
        self.endpoint: dict[str, object] = {}
        """Settings of its one endpoint, in place of the simulator's."""

    @property
    def client_options(self) -> dict[str, Any]:
        return {"bootstrap_servers": self.broker.bootstrap_servers}

    def settings(self, **changed: object) -> Path:
        """A settings file: limits that are out of the way, short sessions, and `changed` (`http__listen="127.0.0.1:0"`)."""
        values: dict[str, object] = {
            "kafka.bootstrap_servers": self.broker.bootstrap_servers,
            "kafka.group_id": self.group_id,
            "kafka.session_timeout": SESSION_TIMEOUT,
            "topics.prefix": self.names.prefix,
            "topics.partitions": PARTITIONS,
            "http.listen": "127.0.0.1:0",
            "cache.disk.path": str(self.directory / "cache"),
            "concurrency.per_host": 1000,
            "concurrency.per_agent": 1000,
            "agents.connections.pool_size": 1000,
            **{name.replace("__", "."): value for name, value in changed.items()},
        }
        lines = [
            *_settings(values),
            "[[providers]]",
            'name = "sim"',
            'rate_limit = { requests = "unlimited", tokens = "unlimited" }',
            "connections = { max = 1000, per_host = 1000 }",
            'bandwidth = "unlimited"',
            f"endpoints = [{{ {', '.join(_settings({'url': self.simulator.url, **self.endpoint}))} }}]",
            *_settings(self.provider),
        ]
        path = self.directory / "headrace.toml"
        path.write_text("\n".join(lines) + "\n")
        return path

    def fleet(self, **changed: object) -> Fleet:
        """Workers with these settings, none started yet."""
        return Fleet(self.settings(**changed), self.directory)

    def traffic(self, on_answer: Callable[[Answer], None] | None = None) -> Traffic:
        """Sends, reads answers and dead letters, and keeps a ledger of its own."""
        return Traffic(self.client_options, Ledger(), names=self.names, on_answer=on_answer)

    async def assignment(self) -> Mapping[str, frozenset[int]]:
        """Partition numbers by member of the group."""
        return await group_assignment(self.client_options, self.group_id)

    async def wait_members(self, count: int, timeout_s: float) -> Mapping[str, frozenset[int]]:
        """Until the group has so many members and all partitions are given; who has what then."""
        found: Mapping[str, frozenset[int]] = {}

        async def all_is_given() -> bool:
            nonlocal found
            try:
                found = await self.assignment()
            except GroupCoordinatorNotAvailableError:  # a new broker has no group yet
                return False
            return len(found) == count and sum(map(len, found.values())) == PARTITIONS

        await wait_until(all_is_given, timeout_s)
        return found

    async def answered_at_ms(self, topics: Iterable[str] = ()) -> dict[str, list[int]]:
        """Every request id with the times of its ends, in order, by the broker's clock; of answers and dead letters."""
        ends: dict[str, list[int]] = {}
        for record in await read_all(self.client_options, topics or (self.names.responses, self.names.dead_letters)):
            request_id = orjson.loads(record.value)["request_id"]
            ends.setdefault(request_id, []).append(record.timestamp)
        return {request_id: sorted(times) for request_id, times in ends.items()}

    async def committed(self) -> Positions:
        return await committed_positions(self.client_options, self.group_id)

    async def wait_all_committed(self, timeout_s: float) -> None:
        """Until the group's commits reach the end of every request partition: nothing is left to do."""

        async def all_is_committed() -> bool:
            try:
                return not await self.unfinished()
            except provision.BrokerUnreachableError:  # one that was flooded may be silent for some seconds
                return False

        await wait_until(all_is_committed, timeout_s)

    async def unfinished(self) -> dict[tuple[str, int], tuple[int, int]]:
        """Partitions whose commit is not at their end: where it is, and where the end is."""
        committed = await self.committed()
        ends = await end_offsets(self.client_options, self.names.requests)
        positions = {partition: committed[partition].next_offset if partition in committed else 0 for partition in ends}
        return {tuple(p): (positions[p], end) for p, end in ends.items() if positions[p] != end}


def _settings(values: Mapping[str, object]) -> list[str]:
    """As TOML; what orjson writes of texts, numbers and lists is that."""
    return [f"{name} = {orjson.dumps(value).decode()}" for name, value in values.items()]


def request(request_id: str, *, timeout_s: float | None = 300.0, **simulated: object) -> dict[str, Any]:
    """A request's value; the prompt is its own. `simulated` is its wish to the simulator (`latency_ms=8000`).

    The time limit is long unless a test is about time: what a crash delays must not count as expired.
    """
    return {
        "request_id": request_id,
        "payload": {
            "model": "small",
            "messages": [{"role": "user", "content": f"What is {request_id}?"}],
            "max_tokens": 8,
            # As many as there may be: an answer that is cut off is not shared.
            "headrace_sim": {"id": request_id, "completion_tokens": 8, **simulated},
        },
    } | ({} if timeout_s is None else {"timeout_s": timeout_s})


def agent_on(partition: int) -> str:
    """An agent whose requests and answers travel on this partition."""
    return next(
        name for name in (f"agent-{n}" for n in range(10_000)) if partition_for(name.encode(), PARTITIONS) == partition
    )


async def wait_until(condition: Callable[[], Awaitable[bool]], timeout_s: float) -> None:
    """Until the condition holds. TimeoutError if it does not in time."""
    async with asyncio.timeout(timeout_s):
        while not await condition():  # noqa: ASYNC110 - other processes have no event for us
            await asyncio.sleep(_POLL_S)


async def send_steadily(
    traffic: Traffic, values: Sequence[Mapping[str, Any]], per_second: float, priority: Priority = "normal"
) -> None:
    """Send the values at this rate, each from an agent of its own turn, whatever the time a send takes."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for index, value in enumerate(values):
        await asyncio.sleep(max(0.0, began + index / per_second - loop.time()))
        await traffic.send(priority, f"agent-{index % 100}", value)


async def wait_open_at_most(traffic: Traffic, count: int, timeout_s: float) -> None:
    """Until no more than `count` requests are neither answered nor dead."""

    async def is_down() -> bool:
        return traffic.open <= count

    await wait_until(is_down, timeout_s)


async def make_topics(client_options: Mapping[str, Any], names: TopicNames) -> None:
    """The contract's topics under these names."""
    report = await provision.apply(client_options, catalogue(PARTITIONS, names=names))
    assert not report.differences, report.differences
    await wait_served(client_options, names.all)


async def wait_served(client_options: Mapping[str, Any], names: Iterable[str]) -> None:
    """Until the leader of every partition takes requests: a broker names a new topic before it does."""
    names = set(names)

    async def are_listed() -> bool:
        async with running_admin(client_options) as admin:
            return names <= set(await admin.list_topics())

    await wait_until(are_listed, 60)
    await end_offsets(client_options, names)


async def fresh_topics(client_options: Mapping[str, Any]) -> None:
    """The contract's topics, empty, as if the broker were new; reply topics of earlier tests are gone.

    Those that nothing was written to stay as they are: to make all of them anew takes a broker a second of CPU.
    """
    async with running_admin(client_options) as admin:
        there = {name for name in await admin.list_topics() if not name.startswith("__")}
    ends = await end_offsets(client_options, there & set(V1.all))
    empty = there & set(V1.all) - {partition.topic for partition, end in ends.items() if end}
    await delete_topics(client_options, there - empty)
    report = await provision.apply(client_options, catalogue(PARTITIONS))
    if changed := {each.topic for each in report.differences}:  # by a test before this one
        await delete_topics(client_options, changed)
    await make_topics(client_options, V1)


async def delete_topics(client_options: Mapping[str, Any], names: Iterable[str] | None = None) -> None:
    """Delete these topics, or all but Kafka's own, and wait until the broker does not name them any more."""
    admin = AIOKafkaAdminClient(**client_options)
    await admin.start()
    try:
        there = {name for name in await admin.list_topics() if not name.startswith("__")}
        gone = there if names is None else there & set(names)
        if gone:
            await admin.delete_topics(sorted(gone))

        async def are_gone() -> bool:
            return not gone & set(await admin.list_topics())

        await wait_until(are_gone, 60)
    finally:
        await admin.close()
