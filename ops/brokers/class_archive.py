"""Kafka's classes as Java has parsed them once: a start takes 1.7 s of CPU in place of 2.8.

Java calls it class data sharing (JEP 350). A node is started once in a temporary folder and ended; on its way out it writes the
archive beside the jars, 50 MB. Java looks whether an archive is of itself and of these jars, and does without one that is not.
"""

import fcntl
import tempfile
from contextlib import suppress
from pathlib import Path

from ops.brokers.base import BrokerError, Progress
from ops.brokers.kafka_jars import cache_folder, java_version
from ops.brokers.node import SETTINGS, SHORT_LIVED, start_node, write_properties
from ops.brokers.ready import free_ports, wait_until_ready
from ops.brokers.storage import format_storage, new_id

_READY_DEADLINE_S = 120.0
_WRITTEN_DEADLINE_S = 60.0


def archive_option() -> tuple[str, ...]:
    """What tells Java to use the archive; nothing where there is none."""
    return (f"-XX:SharedArchiveFile={_archive()}",) if _archive().is_file() else ()


def ensure_archive(progress: Progress) -> None:
    """Write the archive if there is none, which takes some seconds. It can be done without: where it fails, nothing is said."""
    if _archive().is_file():
        return
    lock_file = _archive().with_suffix(".lock")
    with suppress(OSError, BrokerError), lock_file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _archive().is_file():
            progress("preparing Apache Kafka for this Java (once, some seconds) …")
            with tempfile.TemporaryDirectory(prefix=f".{lock_file.stem}-", dir=lock_file.parent) as work:
                _write(Path(work)).rename(_archive())


def _archive() -> Path:
    return cache_folder().with_name(f"{cache_folder().name}-java-{java_version()}.jsa")


def _write(work: Path) -> Path:
    port, controller_port = free_ports(2)
    properties, data, written = work / "server.properties", work / "data", work / "classes.jsa"
    listeners = f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}"
    voters = f"1@127.0.0.1:{controller_port}"
    node = {"node.id": "1", "listeners": listeners, "controller.quorum.voters": voters, "log.dirs": str(data)}
    write_properties(properties, SETTINGS | node)
    format_storage(data, properties, 1, new_id())
    child = start_node(properties, work / "kafka.log", *SHORT_LIVED, f"-XX:ArchiveClassesAtExit={written}")
    try:
        wait_until_ready("127.0.0.1", port, child.alive, _READY_DEADLINE_S, child.pid)
    finally:
        child.stop(_WRITTEN_DEADLINE_S)
    return written
