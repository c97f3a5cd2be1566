"""Apache Kafka as published: one KRaft node, broker and controller in one process, on loopback.

Measured on 2 cores: ready 4 s after the call with the jars in the cache, 400 MB resident.
"""

import base64
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from ops.brokers.base import Broker, BrokerError, Progress
from ops.brokers.kafka_jars import cache_folder, jars, java
from ops.brokers.ready import free_ports, insist_free, wait_until_ready
from ops.processes.child import ChildProcess

# 4 s on an idle machine; half a minute was seen on one with three times more work than cores.
READY_DEADLINE_S = 120.0
_TRIES = 3
LOG_SETTINGS = Path(__file__).with_name("log4j2.properties")
_HEAP = ("-Xms128m", "-Xmx512m", "-XX:+ExitOnOutOfMemoryError")

# Only what differs from Kafka's defaults, and why. Sizes stay Kafka's own, so that a topic which forgets to ask for its
# max.message.bytes fails here as it would in production.
SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    # topics come from `headrace topics apply`; a typing error must not become a topic
    "auto.create.topics.enable": "false",
    # one node: nothing can be replicated, and fewer internal partitions start sooner
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # the first member of a group does not wait 3 s for company
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # the cleaner's table is allocated at start: 128 MB by default, a quarter of the heap
    "log.cleaner.dedupe.buffer.size": "16777216",
    "num.network.threads": "2",
    "num.io.threads": "4",
}


class ApacheBroker(Broker):
    """Starts Apache Kafka and returns when it serves.

    Args:
        port: of the client listener on 127.0.0.1; 0 chooses a free one.
        data_dir: kept after `stop()` and used again the next time; None: a temporary one.
        progress: told when the jars have to be fetched.
        settings: of the broker, besides and before ours.

    Raises:
        BrokerError: Java or Maven is missing, or Kafka did not start; the message tells which.
    """

    kind = "apache"

    def __init__(
        self,
        port: int = 0,
        data_dir: Path | None = None,
        progress: Progress = lambda line: None,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        if port:
            insist_free(port)
        self._settings = settings
        java()
        jars(progress)
        self._temporary = Path(tempfile.mkdtemp(prefix="headrace-kafka-"))
        self._data_dir = data_dir or self._temporary / "data"
        try:
            self._child, chosen = self._start(port)
        except BaseException:
            shutil.rmtree(self._temporary, ignore_errors=True)
            raise
        self.pid = self._child.pid
        self.bootstrap_servers = f"127.0.0.1:{chosen}"

    def alive(self) -> bool:
        return self._child.alive()

    def stop(self) -> None:
        self._child.stop()
        shutil.rmtree(self._temporary, ignore_errors=True)

    def _start(self, port: int) -> tuple[ChildProcess, int]:
        for left in reversed(range(_TRIES)):
            client_port, controller_port = free_ports(2)
            client_port = port or client_port
            properties = self._write_properties(client_port, controller_port)
            format_storage(self._data_dir, properties, cluster_id())
            log_file = self._temporary / "kafka.log"
            log_file.unlink(missing_ok=True)
            logging = f"-Dlog4j2.configurationFile={LOG_SETTINGS}"
            child = ChildProcess([*kafka_command(*_HEAP, logging), "kafka.Kafka", str(properties)], log_file)
            try:
                wait_until_ready("127.0.0.1", client_port, child.alive, READY_DEADLINE_S)
            except BaseException as error:
                child.stop()
                taken = "Address already in use" in log_file.read_text(errors="replace")
                if taken and left and not port:
                    continue  # somebody took the port between our look and Kafka's bind
                if isinstance(error, BrokerError):
                    raise BrokerError(f"Apache Kafka did not start: {error}; {child.last_words()}") from error
                raise
            return child, client_port
        raise AssertionError("unreachable: the last try returns or raises")

    def _write_properties(self, client_port: int, controller_port: int) -> Path:
        settings = SETTINGS | {
            "listeners": f"PLAINTEXT://127.0.0.1:{client_port},CONTROLLER://127.0.0.1:{controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{client_port}",
            "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
            "log.dirs": str(self._data_dir.absolute()),
            **self._settings,
        }
        path = self._temporary / "server.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        return path


def kafka_command(*options: str) -> list[str]:
    """The command line of Java with Kafka's jars, which must be there (`jars`), before the name of a class."""
    return [java(), *options, "-cp", f"{cache_folder()}/*"]


def format_storage(data_dir: Path, properties: Path, cluster: str) -> None:
    """Give a new data directory its identity; one that has one keeps it. Raises BrokerError."""
    if (data_dir / "meta.properties").exists():
        return
    tool = [*kafka_command("-Xmx128m", "-XX:TieredStopAtLevel=1"), "kafka.tools.StorageTool", "format"]
    done = subprocess.run(  # noqa: S603
        [*tool, f"--cluster-id={cluster}", f"--config={properties}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip().splitlines()
        raise BrokerError(f"{data_dir} could not be formatted for Kafka: {said[-1] if said else ''}")


def cluster_id() -> str:
    """A random id as Kafka writes them: 16 bytes, URL-safe base64, no padding."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
