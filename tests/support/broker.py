"""Which broker a run has: the one at KAFKA_BOOTSTRAP_SERVERS if set, else the first kind that can run here."""

import os
from dataclasses import dataclass
from typing import Final

from ops.brokers import Broker, kafka_jars, start_broker
from ops.brokers import embedded as embedded_broker
from tests.support.docker_broker import DockerBroker, docker_missing

REAL_KAFKA: Final = frozenset({"apache", "docker"})


@dataclass(frozen=True, slots=True)
class Choice:
    """A kind of broker, or none; and why the kinds before it were passed over."""

    kind: str | None
    passed_over: tuple[str, ...]


def choose() -> Choice:
    """The broker of this run."""
    yours = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if yours:
        return Choice(yours, ())
    passed_over: list[str] = []
    for kind, missing in (
        ("docker", docker_missing),
        ("apache", kafka_jars.missing),
        ("embedded", embedded_broker.missing),
    ):
        reason = missing()
        if reason is None:
            return Choice(kind, tuple(passed_over))
        passed_over.append(f"{kind}: {reason}")
    return Choice(None, tuple(passed_over))


def start(kind: str) -> Broker:
    """A running broker of this kind, or the one at this address. Raises BrokerError."""
    return DockerBroker() if kind == "docker" else start_broker(kind, progress=print)
