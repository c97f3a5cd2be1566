"""From a word to a running broker."""

import asyncio
import re
from pathlib import Path

from ops.brokers.apache import ApacheBroker
from ops.brokers.base import Broker, BrokerError, Progress, YourBroker
from ops.brokers.embedded import EmbeddedBroker
from ops.brokers.ready import live_brokers

_ADDRESS = re.compile(r"(?P<host>[^:,\s]+|\[[0-9a-fA-F:]+\]):(?P<port>\d{1,5})")
_REACH_TIMEOUT_S = 5.0


def start_broker(
    kind: str,
    *,
    port: int = 0,
    data_dir: Path | None = None,
    progress: Progress = lambda line: None,
    optimize: bool = False,
) -> Broker:
    """A broker that serves.

    Args:
        kind: `embedded`, `apache`, or the address of a broker of yours, `HOST:PORT` (several with commas).
        port: for a local broker, on 127.0.0.1; 0 chooses a free one.
        data_dir: for a local broker: where its data stays; None: a temporary directory, removed at the end.
        progress: told what takes long.
        optimize: for `apache`: compile for speed, at the price of a slower start.

    Raises:
        BrokerError: unknown kind, nothing at that address, or the local broker did not start.
    """
    if kind == "apache":
        return ApacheBroker(port, data_dir, progress, optimize=optimize)
    if kind == "embedded":
        return EmbeddedBroker(port, data_dir)
    addresses = [_ADDRESS.fullmatch(part.strip()) for part in kind.split(",")]
    if not all(addresses):
        raise BrokerError(f"unknown broker {kind!r}: use embedded, apache, or HOST:PORT of a broker of yours")
    if not any(
        live_brokers(address["host"].strip("[]"), int(address["port"]), _REACH_TIMEOUT_S)
        for address in addresses
        if address
    ):
        raise BrokerError(f"no Kafka broker answers at {kind}: start it, or use --broker embedded or apache")
    return YourBroker(kind)


async def start_broker_async(
    kind: str,
    *,
    port: int = 0,
    data_dir: Path | None = None,
    progress: Progress = lambda line: None,
    optimize: bool = False,
) -> Broker:
    """`start_broker` off the event loop: a start takes seconds, the first one of `apache` up to a minute."""
    return await asyncio.to_thread(
        start_broker, kind, port=port, data_dir=data_dir, progress=progress, optimize=optimize
    )
