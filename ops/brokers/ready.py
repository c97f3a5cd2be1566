"""Free ports, and the question whether a broker serves yet: one Metadata request over a plain socket.

A listening port proves little (Kafka listens before its controller knows it), so the answer must name a live broker.
The request is written by hand, because starting a broker is synchronous and must work inside a running event loop.
Wire format: https://kafka.apache.org/protocol, Metadata v4.
"""

import secrets
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress

import psutil

from ops.brokers.base import BrokerError

_METADATA_KEY, _METADATA_VERSION = 3, 4
_CLIENT_ID = b"headrace"
_LOOK_EVERY_S = 0.1
_CHOSEN_FROM = (12_000, 32_000)
"""Linux gives connections 32768 and above (ip_local_port_range), other systems 49152."""
_TRIES = 100


def free_ports(count: int) -> list[int]:
    """Ports of loopback that are free now; another process may take one before it is used, so be ready to try again.

    They are below those that the system gives to connections: one of these might be the own port of whoever connects to it, and
    a client that looks for its broker while that is away would hold the broker's port. By the system's randomness: processes that
    were forked from one, or seeded alike, would all choose the same ones.
    """
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            _bind(each)
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _bind(to_bind: socket.socket) -> None:
    for _ in range(_TRIES):
        with suppress(OSError):
            first, end = _CHOSEN_FROM
            to_bind.bind(("127.0.0.1", first + secrets.randbelow(end - first)))
            return
    to_bind.bind(("127.0.0.1", 0))


def insist_free(port: int) -> None:
    """Refuse a port that something listens on; else its broker would answer for ours, and ours would end unseen.

    Raises:
        BrokerError: the port of 127.0.0.1 is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # closed connections in TIME_WAIT are no listener
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise BrokerError(f"port {port} of 127.0.0.1 is taken: choose another, or 0 for any free one") from error


def live_brokers(host: str, port: int, timeout_s: float = 2.0) -> int:
    """How many live brokers the one at `host:port` names; 0 when it does not answer as a Kafka broker does."""
    header = struct.pack(">hhih", _METADATA_KEY, _METADATA_VERSION, 1, len(_CLIENT_ID)) + _CLIENT_ID
    no_topics_no_creation = struct.pack(">ib", 0, 0)
    request = header + no_topics_no_creation
    try:
        with socket.create_connection((host, port), timeout=timeout_s) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = connection.makefile("rb")
            head = answer.read(16)  # size, correlation id, throttle time, number of brokers
    except OSError:
        return 0
    if len(head) < 16:
        return 0
    _size, correlation, _throttle_ms, brokers = struct.unpack(">iiii", head)
    return max(brokers, 0) if correlation == 1 else 0


class PortTakenError(BrokerError):
    """Another process listens where our broker was to: it took the port between our look and our broker's."""


def wait_until_ready(
    host: str, port: int, alive: Callable[[], bool], deadline_s: float, pid: int | None = None
) -> None:
    """Return once the broker serves.

    Args:
        pid: of the broker's process, which must be the one that listens. Of two brokers that start at one time on one port, the
            one that came first answers for both, and the other ends unseen, seconds later. None: whoever answers is taken for it.

    Raises:
        PortTakenError: another process answers.
        BrokerError: `alive()` became false, or `deadline_s` seconds passed.
    """
    ends_at = time.monotonic() + deadline_s
    while not live_brokers(host, port):
        if not alive():
            raise BrokerError("it ended while starting")
        if time.monotonic() > ends_at:
            raise BrokerError(f"it did not answer at {host}:{port} within {deadline_s:.0f} s")
        time.sleep(_LOOK_EVERY_S)
    if pid is not None and not _listens(pid, port):
        raise PortTakenError(f"another process answers at {host}:{port}")


def _listens(pid: int, port: int) -> bool:
    try:
        opened = psutil.Process(pid).net_connections(kind="tcp")
    except psutil.AccessDenied:  # a system that tells nobody: whoever answers is taken for it, as without a pid
        return True
    except psutil.NoSuchProcess:
        return False
    return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in opened)
