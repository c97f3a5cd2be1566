"""The `noida-db` binary, Kafka protocol only: 11 MB, ready at once, needs nothing installed but its wheel.

It is for demonstrations: docs/brokers.md lists what it lacks.
"""

import importlib.util
import os
import shutil
import tempfile
from pathlib import Path

from ops.brokers.base import Broker, BrokerError
from ops.brokers.ready import free_ports, insist_free, wait_until_ready
from ops.processes.child import ChildProcess

READY_DEADLINE_S = 15.0
_TRIES = 3


def binary() -> Path:
    """The program inside the installed wheel; its Python wrapper, when killed, would leave the program behind.

    Raises:
        BrokerError: the wheel is not installed.
    """
    spec = importlib.util.find_spec("noida_db")
    folders = spec.submodule_search_locations if spec else None
    found = Path(folders[0]) / "noida-db" if folders else None
    if found is None or not found.is_file():
        raise BrokerError("the embedded broker is not installed: pip install 'headrace[embedded]'")
    return found


def missing() -> str | None:
    """Why the embedded broker cannot run on this machine, or None when it can."""
    try:
        binary()
    except BrokerError as error:
        return str(error)
    return None


class EmbeddedBroker(Broker):
    """Starts the embedded broker and returns when it serves.

    Args:
        port: on 127.0.0.1; 0 chooses a free one.
        data_dir: kept after `stop()` and used again the next time; None: a temporary one.

    Raises:
        BrokerError: not installed, or it did not start.
    """

    kind = "embedded"

    def __init__(self, port: int = 0, data_dir: Path | None = None) -> None:
        if port:
            insist_free(port)
        program = binary()
        self._temporary = Path(tempfile.mkdtemp(prefix="headrace-embedded-"))
        self._data_dir = data_dir or self._temporary / "data"
        try:
            if not os.access(program, os.X_OK):  # wheels carry no mode bits that every installer keeps
                program.chmod(0o755)
            self._data_dir.mkdir(parents=True, exist_ok=True)
            self._child, chosen = self._start(program, port)
        except OSError as error:
            shutil.rmtree(self._temporary, ignore_errors=True)
            raise BrokerError(f"the embedded broker cannot run here: {error}") from error
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
        self._child.stop()
        shutil.rmtree(self._temporary, ignore_errors=True)

    def _start(self, program: Path, port: int) -> tuple[ChildProcess, int]:
        for left in reversed(range(_TRIES)):
            chosen = port or free_ports(1)[0]
            command = [str(program), "start", "--data-dir", str(self._data_dir), "--host", "127.0.0.1"]
            command += ["--only", "kafka", "--kafka-port", str(chosen)]
            child = ChildProcess(command, self._temporary / "broker.log")
            try:
                wait_until_ready("127.0.0.1", chosen, child.alive, READY_DEADLINE_S, child.pid)
            except BaseException as error:
                child.stop()
                if not isinstance(error, BrokerError):
                    raise
                if port or not left:
                    raise BrokerError(f"the embedded broker did not start: {error}; {child.last_words()}") from error
                continue  # most likely somebody took the port between our look and its bind
            return child, chosen
        raise AssertionError("unreachable: the last try returns or raises")
