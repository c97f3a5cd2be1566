"""Three nodes of Apache Kafka on loopback, each broker and controller, that tests may kill, stop and move.

Every node has two listeners for clients. DIRECT is advertised as it is: for the other brokers, and for who keeps the books.
CLIENT is advertised under an address that the caller chooses, for instance of a proxy that breaks things. Replication factor 3,
two in sync: one broker may fail and neither data nor writes stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Final, Self

from ops.brokers.base import BrokerError, Progress
from ops.brokers.class_archive import archive_option, ensure_archive
from ops.brokers.kafka_jars import jars, java
from ops.brokers.node import SETTINGS, SHORT_LIVED, start_node, write_properties
from ops.brokers.ready import free_ports, live_brokers
from ops.brokers.storage import format_storage, new_id
from ops.processes.child import ChildProcess

NODES: Final = 3
READY_DEADLINE_S: Final = 120.0
_LOOK_EVERY_S: Final = 0.2
_STOP_DEADLINE_S: Final = 30.0
"""A controlled shutdown hands leadership over first: 2 to 5 s on an idle machine."""

_JAVA: Final = (
    "-Xms96m",
    "-Xmx384m",
    "-XX:+ExitOnOutOfMemoryError",
    *SHORT_LIVED,
)
_CLUSTER_SETTINGS: Final = {
    "inter.broker.listener.name": "DIRECT",
    "listener.security.protocol.map": "CLIENT:PLAINTEXT,DIRECT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "share.coordinator.state.topic.replication.factor": "3",
    "share.coordinator.state.topic.min.isr": "2",
    # preferred leaders come back seconds after their broker, not minutes: one more change of leader for each fault
    "leader.imbalance.check.interval.seconds": "5",
    "num.network.threads": "1",
    "num.io.threads": "2",
}


class Node:
    """One node: its ports, its data, and its process while it runs."""

    def __init__(self, number: int, folder: Path, ports: Sequence[int]) -> None:
        self.number = number
        self.client_port, self.direct_port, self.controller_port = ports
        self.advertised = f"127.0.0.1:{self.client_port}"
        self.data_dir = folder / f"data-{number}"
        self.properties = folder / f"server-{number}.properties"
        self.log_file = folder / f"kafka-{number}.log"
        self.child: ChildProcess | None = None

    @property
    def direct(self) -> str:
        """HOST:PORT of the listener that nothing stands before."""
        return f"127.0.0.1:{self.direct_port}"

    @property
    def alive(self) -> bool:
        return self.child is not None and self.child.alive()

    def signal(self, number: int) -> None:
        """Send a signal; a node that does not run is left alone."""
        if self.child is not None:
            self.child.send_signal(number)


class ApacheCluster:
    """Starts the nodes inside an `async with` block, and ends them with it.

    `advertise` must be called for each node before that, or clients are told the node's own address.

    Raises:
        BrokerError: Java or Maven is missing, or a node did not start.
    """

    def __init__(
        self, progress: Progress = lambda line: None, settings: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        java()
        jars(progress)
        ensure_archive(progress)
        self._settings = settings
        self._folder = Path(tempfile.mkdtemp(prefix="headrace-cluster-"))
        self._cluster_id = new_id()
        ports = free_ports(3 * NODES)
        self.nodes = [Node(n + 1, self._folder, ports[3 * n : 3 * n + 3]) for n in range(NODES)]

    @property
    def direct_servers(self) -> str:
        """Bootstrap servers of the listeners that nothing stands before."""
        return ",".join(node.direct for node in self.nodes)

    def advertise(self, node: Node, address: str) -> None:
        """What clients are told as the node's address from its next start on."""
        node.advertised = address

    async def __aenter__(self) -> Self:
        try:
            for node in self.nodes:
                self._write_properties(node)
            await asyncio.gather(
                *(
                    asyncio.to_thread(format_storage, node.data_dir, node.properties, node.number, self._cluster_id)
                    for node in self.nodes
                )
            )
            for node in self.nodes:
                self.start(node)
            for node in self.nodes:
                await self.wait_live(node, NODES)
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    def start(self, node: Node) -> None:
        """Start a node that does not run; it serves some seconds later (`wait_live`)."""
        self._write_properties(node)
        node.child = start_node(node.properties, node.log_file, *_JAVA, *archive_option())

    async def wait_live(self, node: Node, brokers: int = 1, within_s: float = READY_DEADLINE_S) -> None:
        """Until the node serves and knows of at least `brokers` live ones, itself included. Raises BrokerError."""
        ends_at = time.monotonic() + within_s
        while await asyncio.to_thread(live_brokers, "127.0.0.1", node.direct_port) < brokers:
            if node.child is None or not node.child.alive():
                said = node.child.last_words() if node.child else "it was not started"
                raise BrokerError(f"node {node.number} ended: {said}")
            if time.monotonic() > ends_at:
                raise BrokerError(
                    f"node {node.number} did not serve within {within_s:.0f} s: {node.child.last_words()}"
                )
            await asyncio.sleep(_LOOK_EVERY_S)

    def kill(self, node: Node) -> None:
        """SIGKILL."""
        node.signal(signal.SIGKILL)

    async def stop(self, node: Node) -> None:
        """SIGTERM, and the end of its controlled shutdown."""
        if node.child is not None:
            await asyncio.to_thread(node.child.stop, _STOP_DEADLINE_S)

    def _write_properties(self, node: Node) -> None:
        voters = ",".join(f"{each.number}@127.0.0.1:{each.controller_port}" for each in self.nodes)
        settings = {
            **SETTINGS,
            **_CLUSTER_SETTINGS,
            "node.id": str(node.number),
            "listeners": f"CLIENT://127.0.0.1:{node.client_port},DIRECT://127.0.0.1:{node.direct_port},"
            f"CONTROLLER://127.0.0.1:{node.controller_port}",
            "advertised.listeners": f"CLIENT://{node.advertised},DIRECT://{node.direct}",
            "controller.quorum.voters": voters,
            "log.dirs": str(node.data_dir),
            **self._settings,
        }
        write_properties(node.properties, settings)

    async def _end(self) -> None:
        """All at once, without a controlled shutdown: the data goes too."""
        for node in self.nodes:
            with contextlib.suppress(ProcessLookupError):
                node.signal(signal.SIGKILL)
        await asyncio.gather(*(asyncio.to_thread(node.child.stop) for node in self.nodes if node.child is not None))
        shutil.rmtree(self._folder, ignore_errors=True)
