"""Apache Kafka as published: one KRaft node, broker and controller in one process, on loopback.

Measured on 2 cores: ready 2 s after the call with the jars and the class archive in the cache, 400 MB resident.
"""

import shutil
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from ops.brokers.base import Broker, BrokerError, Progress
from ops.brokers.class_archive import archive_option, ensure_archive
from ops.brokers.kafka_jars import jars, java
from ops.brokers.node import SETTINGS, SHORT_LIVED, start_node, write_properties
from ops.brokers.ready import PortTakenError, free_ports, insist_free, wait_until_ready
from ops.brokers.storage import format_storage, new_id
from ops.processes.child import ChildProcess

# 4 s on an idle machine; half a minute was seen on one with three times more work than cores.
READY_DEADLINE_S = 120.0
_TRIES = 3
_NODE = 1
_JAVA = ("-Xms128m", "-Xmx512m", "-XX:+ExitOnOutOfMemoryError")


class ApacheBroker(Broker):
    """Starts Apache Kafka and returns when it serves.

    Args:
        port: of the client listener on 127.0.0.1; 0 chooses a free one.
        data_dir: kept after `stop()` and used again the next time; None: a temporary one.
        progress: told when the jars have to be fetched.
        settings: of the broker, besides and before ours.
        optimize: whether Java compiles for speed, which pays where a broker is under full load for minutes.

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
        *,
        optimize: bool = False,
    ) -> None:
        if port:
            insist_free(port)
        self._settings = settings
        self._java = _JAVA if optimize else (*_JAVA, *SHORT_LIVED)
        java()
        jars(progress)
        ensure_archive(progress)
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

    def last_words(self) -> str:
        return self._child.last_words()

    def stop(self) -> None:
        if self._data_dir.is_relative_to(self._temporary):  # without a controlled shutdown, of 4 s: the data goes too
            self._child.send_signal(signal.SIGKILL)
        self._child.stop()
        shutil.rmtree(self._temporary, ignore_errors=True)

    def _start(self, port: int) -> tuple[ChildProcess, int]:
        for left in reversed(range(_TRIES)):
            client_port, controller_port = free_ports(2)
            client_port = port or client_port
            properties = self._write_properties(client_port, controller_port)
            format_storage(self._data_dir, properties, _NODE, new_id())
            log_file = self._temporary / "kafka.log"
            log_file.unlink(missing_ok=True)
            child = start_node(properties, log_file, *self._java, *archive_option())
            try:
                wait_until_ready("127.0.0.1", client_port, child.alive, READY_DEADLINE_S, child.pid)
            except BaseException as error:
                child.stop()
                taken = isinstance(error, PortTakenError) or "Address already in use" in child.log_text()
                if taken and left and not port:
                    continue  # somebody took the port between our look and Kafka's bind
                if isinstance(error, BrokerError):
                    raise BrokerError(f"Apache Kafka did not start: {error}; {child.last_words()}") from error
                raise
            return child, client_port
        raise AssertionError("unreachable: the last try returns or raises")

    def _write_properties(self, client_port: int, controller_port: int) -> Path:
        settings = SETTINGS | {
            "node.id": str(_NODE),
            "listeners": f"PLAINTEXT://127.0.0.1:{client_port},CONTROLLER://127.0.0.1:{controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{client_port}",
            "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
            "log.dirs": str(self._data_dir.absolute()),
            **self._settings,
        }
        path = self._temporary / "server.properties"
        write_properties(path, settings)
        return path
