"""Everything that a schedule breaks: brokers behind proxies, providers, workers, control; and who started and ended them."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import orjson

from ops.brokers import Progress
from ops.brokers.cluster import ApacheCluster, Node
from ops.lab.book import Limit
from ops.lab.proxy import Proxy
from ops.lab.simulator import SimulatedProvider
from ops.processes.fleet import WorkerError, WorkerProcess
from streams.kafka import provision
from topics.catalogue import catalogue

PARTITIONS: Final = 6
WORKERS: Final = 2
GROUP: Final = "lab-workers"
LIMIT: Final = Limit(72, 6.0)
"""12 a second where the load is 7: reached in the bursts that follow a fault."""

READY_S: Final = 60.0
"""For a worker while a broker may be away and the machine is busy."""


class World:
    """Inside an `async with` block all of it runs; at the end all of it is ended, whatever happened.

    Args:
        folder: for settings, logs and the providers' books; it stays.
        seed: of the proxies' jitter.
        workers: how many at the start.
        spare_first: whether faults leave the first worker and control alive.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        workers: int = WORKERS,
        spare_first: bool = False,
        progress: Progress = lambda line: None,
    ) -> None:
        self.spare_first = spare_first
        self.folder = folder
        self.cluster = ApacheCluster(progress)
        self.proxies: list[Proxy] = []
        self.workers: list[WorkerProcess] = []
        self.control: WorkerProcess
        self.providers: dict[str, SimulatedProvider] = {}
        self.exits: list[str] = []
        """Processes that ended by themselves."""
        self._ended_by_us: set[int] = set()
        self._seed = seed
        self._wanted = workers
        self._started = 0
        self._stack = AsyncExitStack()

    @property
    def client_options(self) -> dict[str, object]:
        """Of who keeps the books: past the proxies."""
        return {"bootstrap_servers": self.cluster.direct_servers}

    async def __aenter__(self) -> Self:
        try:
            rng = random.Random(self._seed)
            for node in self.cluster.nodes:
                proxy = Proxy(node.client_port, rng.randrange(2**32))
                self.proxies.append(await self._stack.enter_async_context(proxy))
                self.cluster.advertise(node, proxy.advertised)
            await self._stack.enter_async_context(self.cluster)
            await provision.apply(self.client_options, catalogue(PARTITIONS, 3))
            for name, limit in (("limited", LIMIT), ("open", None)):
                provider = SimulatedProvider(name, self.folder, limit)
                self.providers[name] = await self._stack.enter_async_context(provider)
            cache = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="headrace-lab-cache-"))
            self._write_settings(Path(cache))
            self._stack.push_async_callback(self._end_processes)
            self.control = self.start_control()
            self.workers = [self.start_worker() for _ in range(self._wanted)]
            await asyncio.gather(*(worker.wait_ready(READY_S) for worker in self.workers))
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def start_worker(self) -> WorkerProcess:
        """A new worker, not ready yet, not in `workers` yet."""
        return self._start("worker", "w")

    def start_control(self) -> WorkerProcess:
        """A new control process."""
        return self._start("control", "c")

    def end(self, process: WorkerProcess, number: int) -> None:
        """End a process by a signal, knowingly."""
        self._ended_by_us.add(process.pid)
        process.signal(number)

    async def kill_all_workers(self) -> None:
        """SIGKILL for all, at once, and as many new ones that are ready."""
        for worker in self.workers:
            self.end(worker, signal.SIGKILL)
        self.workers = [self.start_worker() for _ in range(self._wanted)]
        await asyncio.gather(*(worker.wait_ready(READY_S) for worker in self.workers))

    async def replace_dead(self) -> None:
        """New processes for all that do not run, whoever ended them."""
        self.look()
        self.workers = [worker if worker.alive else self.start_worker() for worker in self.workers]
        if not self.control.alive:
            self.control = self.start_control()
        await asyncio.gather(*(wait_ready_or_ended(worker) for worker in self.workers))

    def look(self) -> list[str]:
        """Replace what ended by itself, as a supervisor would; returns a line for each of these ends."""
        found = []
        for place, worker in enumerate(self.workers):
            if not worker.alive and worker.pid not in self._ended_by_us:
                found.append(f"worker {worker.name} ended with {worker.exit_code}: {worker.last_words()[-600:]}")
                self.workers[place] = self.start_worker()
        if not self.control.alive and self.control.pid not in self._ended_by_us:
            found.append(f"control ended with {self.control.exit_code}: {self.control.last_words()[-600:]}")
            self.control = self.start_control()
        self.exits += found
        return found

    def grantor(self) -> WorkerProcess | None:
        """The worker that grants what providers allow: who said so last."""
        said = [(text.rfind("granting what providers allow"), w) for w in self.workers if (text := w.log_text())]
        granting = [worker for place, worker in said if place >= 0 and worker.alive]
        return granting[-1] if granting else None

    def node(self, target: int) -> tuple[Node, Proxy]:
        """The broker that a fault's target means."""
        place = target % len(self.cluster.nodes)
        return self.cluster.nodes[place], self.proxies[place]

    def processes(self) -> dict[str, int]:
        """Process ids by name, of what runs now."""
        named = {worker.name: worker.pid for worker in (*self.workers, self.control) if worker.alive}
        named |= {f"provider-{name}": provider.child.pid for name, provider in self.providers.items()}
        return named | {
            f"broker-{node.number}": node.child.pid for node in self.cluster.nodes if node.child and node.alive
        }

    def _start(self, command: str, letter: str) -> WorkerProcess:
        name = f"{letter}{self._started}"
        self._started += 1
        settings = self.folder / "headrace.toml"
        return WorkerProcess(name, settings, self.folder / f"{name}.log", command=command)

    def _write_settings(self, cache: Path) -> None:
        values: dict[str, object] = {
            "kafka.bootstrap_servers": ",".join(proxy.bootstrap for proxy in self.proxies),
            "kafka.group_id": GROUP,
            "topics.partitions": PARTITIONS,
            "topics.replication_factor": 3,
            "scaling.limits.max": PARTITIONS,
            "cache.disk.path": str(cache),
            # Caches that are full within the first quarter of an hour, so that the rest shows whether memory grows: the
            # store's buffers and blocks (a 16th of the budget, bounded only at 64 MiB else) and the tier in memory.
            "cache.disk.size": "200MB",
            "cache.memory.size": "4MB",
            "memory.budget": "192MB",
            "limits.window": f"{LIMIT.window_s:g}s",
            # Answered requests are remembered by default, so that a lost commit costs no call: half the seeds go without.
            "cache.finished_window": "1s" if self._seed % 2 else "10m",
            "concurrency.per_host": 200,
            "agents.connections.pool_size": 50,
        }
        lines = [f"{name} = {orjson.dumps(value).decode()}" for name, value in values.items()]
        for name, model, rate in (
            ("limited", "small", f"{LIMIT.requests * 60 / LIMIT.window_s:g}/minute"),
            ("open", "large", "unlimited"),
        ):
            lines += [
                "[[providers]]",
                f'name = "{name}"',
                f'models = ["{model}"]',
                f'rate_limit = {{ requests = "{rate}", tokens = "unlimited" }}',
                "connections = { max = 200, per_host = 200 }",
                'bandwidth = "unlimited"',
                'timeout = "30s"',
                f'endpoints = [{{ url = "{self.providers[name].url}" }}]',
            ]
        (self.folder / "headrace.toml").write_text("\n".join(lines) + "\n")

    async def _end_processes(self) -> None:
        processes = [*self.workers, self.control] if hasattr(self, "control") else self.workers
        for process in processes:
            self._ended_by_us.add(process.pid)
        await asyncio.gather(*(process.stop(5.0) for process in processes))


async def wait_ready_or_ended(process: WorkerProcess, within_s: float = READY_S) -> bool:
    """Whether it became ready; one that ended or took too long is seen by `World.look`."""
    try:
        await process.wait_ready(within_s)
    except WorkerError:
        return False
    return True


def rss_bytes(pid: int) -> int:
    """Resident memory; 0 of a process that is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def now() -> float:
    """Unix seconds, as the brokers and providers write them: one machine, one clock."""
    return time.time()
