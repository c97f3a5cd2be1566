"""What a benchmark stands on: a broker of its own, the contract's topics, an upstream of 20 ms, and settings for workers."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import orjson
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import TopicPartition

from ops.admin.records import open_reader, partitions_of
from ops.bench.fill import fill
from ops.bench.run import BenchError, Run
from ops.bench.upstream import LISTENS
from ops.bench.work import REQUEST_TOPICS, Load
from ops.brokers import Broker, BrokerError, start_broker_async
from streams.kafka import provision
from topics import catalogue
from topics.names import DEAD_LETTERS, RESPONSES

Say = Callable[[str], None]

UPSTREAM_MS: Final = 20
CONNECTIONS: Final = 1000
LIMITS: Final = (
    f"limits: requests, tokens and bandwidth of the provider unlimited, {CONNECTIONS} connections and calls a worker, host "
    "and agent, admission 100000/s; all else by default"
)
WORKER: Final = "ops.bench.peers.product"
"""The worker under the stop watch."""
WARM: Final = "warm"
"""Begins the ids of the requests that fill the cache."""

_TOPIC_WITHIN_S: Final = 30.0
_POLL_S: Final = 0.05
_SETTLED_S: Final = 1.0


class Ground:
    """Runs during `standing`. Topics are as a new broker has them after `headrace topics apply`."""

    def __init__(self, broker: Broker, upstream: str, folder: Path, say: Say) -> None:
        self.broker = broker
        self.servers = broker.bootstrap_servers
        self.upstream = upstream
        self.folder = folder
        self.say = say
        self._names = itertools.count(1)

    def name(self, what: str) -> str:
        """A name that nothing here had yet."""
        return f"{what}-{next(self._names)}"

    def settings(
        self, group: str, upstream: str | None = None, authority: Path | None = None, **changed: object
    ) -> Path:
        """A settings file for workers of this group; `changed` as in `kafka__linger="0ms"`. `upstream`: another one than
        the ground's, with a certificate of this authority.
        """
        unlimited = '"unlimited"'
        values: dict[str, object] = {
            "kafka.bootstrap_servers": self.servers,
            "kafka.group_id": group,
            "http.listen": "127.0.0.1:0",
            "backpressure.rate": "100000/s",
            "concurrency.total": CONNECTIONS,
            "concurrency.per_host": CONNECTIONS,
            "concurrency.per_agent": CONNECTIONS,
            "agents.connections.pool_size": CONNECTIONS,
            "cache.disk.path": str(self.folder / "cache"),
            "logging.level": "info",
            "logging.format": "json",
            **{name.replace("__", "."): value for name, value in changed.items()},
        }
        lines = [f"{name} = {orjson.dumps(value).decode()}" for name, value in values.items()]
        lines += [
            "[[providers]]",
            'name = "bench"',
            f"rate_limit = {{ requests = {unlimited}, tokens = {unlimited} }}",
            f"bandwidth = {unlimited}",
            f"connections = {{ max = {CONNECTIONS}, per_host = {CONNECTIONS} }}",
            f'endpoints = [{{ url = "{upstream or self.upstream}" }}]',
            *([f'tls = {{ ca_file = "{authority}" }}'] if authority is not None else []),
        ]
        path = self.folder / f"{group}.toml"
        path.write_text("\n".join(lines) + "\n")
        return path

    def run(self, module: str, arguments: Sequence[str], python: Path | None = None) -> Run:
        """Start a module of ours, its log in the folder."""
        return Run.of_module(self.folder, self.name(module.rpartition(".")[2]), module, arguments, python)

    def run_program(self, program: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> Run:
        """Start a program that is none of ours, its log in the folder."""
        return Run(self.folder, self.name(program.name), [str(program), *arguments], environment)

    def run_worker(self, records: int) -> Run:
        """Start a worker under the stop watch, in a group of its own."""
        return self.run(WORKER, [str(self.settings(self.name("product"))), str(records)])

    async def warm(self, load: Load) -> None:
        """Let one worker answer each distinct payload of the load, so that `cache.entries` holds all of them."""
        self.say(f"warming the cache with {load.distinct} answers …")
        await self.anew(REQUEST_TOPICS)
        first = Load(load.distinct, load.distinct, load.agents, load.value_bytes, run=WARM)
        await fill(self.servers, first)
        await self.run_worker(first.records).result(120)

    async def filled(self, load: Load) -> None:
        """The request topics with this load and nothing else."""
        self.say(f"filling the request topics with {load.records:,} requests of {len(load.request(0)[2])} bytes …")
        await self.anew(REQUEST_TOPICS)
        await fill(self.servers, load)

    async def anew(self, names: Iterable[str]) -> None:
        """Delete these topics and make them again."""
        names = set(names)
        admin = AIOKafkaAdminClient(bootstrap_servers=self.servers)
        await admin.start()
        try:
            if gone := names & set(await admin.list_topics()):
                await admin.delete_topics(sorted(gone))
                async with asyncio.timeout(_TOPIC_WITHIN_S):
                    while names & set(await admin.list_topics()):  # noqa: ASYNC110 - the broker has no event for us
                        await asyncio.sleep(_POLL_S)
        finally:
            await admin.close()
        await self.apply()
        await asyncio.sleep(_SETTLED_S)  # until every partition has its leader

    async def fresh_answers(self) -> None:
        """No answers on the topic, so that every run begins alike."""
        await self.anew([RESPONSES, DEAD_LETTERS])

    async def apply(self) -> None:
        await provision.apply({"bootstrap_servers": self.servers}, catalogue())

    async def wait_committed(self, group: str, within_s: float) -> None:
        """Until the group's commits are at the ends of all request partitions."""
        async with open_reader({"bootstrap_servers": self.servers}) as reader:
            ends = await reader.end_offsets(await partitions_of(reader, REQUEST_TOPICS))
        admin = AIOKafkaAdminClient(bootstrap_servers=self.servers)
        await admin.start()
        try:
            async with asyncio.timeout(within_s):
                while not _reached(await admin.list_consumer_group_offsets(group), ends):  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_S)
        finally:
            await admin.close()


def _reached(committed: Mapping[TopicPartition, Any], ends: Mapping[TopicPartition, int]) -> bool:
    return all(not end or (p in committed and committed[p].offset >= end) for p, end in ends.items())


@asynccontextmanager
async def standing(kind: str, say: Say, *, optimize: bool = True) -> AsyncIterator[Ground]:
    """Start a local broker of this kind with the topics, and the upstream; end both. `optimize`: whether the broker's Java
    compiles for speed, which takes a core for the first minute. Raises BenchError.
    """
    if kind not in ("apache", "embedded"):
        raise BenchError(
            f"--broker {kind}: benchmarks delete topics, so they take a broker of their own: apache, embedded"
        )
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as name:
        folder = Path(name)
        try:
            broker = await start_broker_async(kind, progress=say, optimize=optimize)
        except BrokerError as error:
            raise BenchError(str(error)) from error
        upstream = Run.of_module(folder, "upstream", "ops.bench.upstream", [str(UPSTREAM_MS)])
        async with broker:
            try:
                url = await upstream.wait_for(LISTENS, 20)
                say(f"broker: {broker.kind} at {broker.bootstrap_servers}; upstream: {UPSTREAM_MS} ms at {url}")
                say(LIMITS)
                ground = Ground(broker, url, folder, say)
                await ground.apply()
                yield ground
            finally:
                await upstream.stop()
