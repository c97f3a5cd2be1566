"""What every local broker offers, whatever runs underneath."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from streams.errors import HeadraceError

Progress = Callable[[str], None]
"""Takes one line of progress for people; a broker that needs a minute to be fetched says so."""


class BrokerError(HeadraceError):
    """A broker could not be started or reached; the message is one line: what is wrong and what to do."""


class Broker:
    """A running Kafka broker. Leave its `with` or `async with` block, or call `stop()`, to end it.

    Attributes:
        kind: `apache`, `embedded` or `yours`.
        bootstrap_servers: what a client connects to, `127.0.0.1:PORT` for a local one.
        pid: process id of the broker itself, for SIGSTOP and kill -9 in tests; None when it is not our child.
    """

    kind: str
    bootstrap_servers: str
    pid: int | None = None

    def alive(self) -> bool:
        """Whether it still runs, as far as we can tell without asking it: of a broker of yours always."""
        return True

    def last_words(self) -> str:
        """The end of its log on one line; empty where its log is not ours."""
        return ""

    def stop(self) -> None:
        """End the broker and remove its temporary data. Stopping twice is fine; a broker of yours is left alone."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)


class YourBroker(Broker):
    """A broker that somebody else runs: known by its address, never stopped by us."""

    kind = "yours"

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers
