"""A process that starts while one broker of several fails asks again; what will not pass ends it at once, with its line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    NodeNotReadyError,
    RequestTimedOutError,
    TopicAuthorizationFailedError,
)

from ops.processes import service
from ops.processes.service import CannotStartError, check_start
from streams.kafka import provision
from streams.kafka.provision import BrokerUnreachableError, ProvisionError, Report
from streams.settings import Settings
from topics.access import WRITE
from topics.plan import Difference


class Broker:
    """Fails with these errors, one a question, and then answers that all is as it should be."""

    def __init__(self, *errors: ProvisionError) -> None:
        self.errors = list(errors)
        self.asked = 0

    async def check(self, client_options: Mapping[str, Any], wanted: object, needed: object) -> Report:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        return Report((), (), ())


def because(error: ProvisionError, cause: BaseException) -> ProvisionError:
    error.__cause__ = cause
    return error


async def asked_of(monkeypatch: pytest.MonkeyPatch, broker: Broker) -> int:
    monkeypatch.setattr(provision, "check", broker.check)
    monkeypatch.setattr(service, "_ASK_AGAIN_S", 0.001)
    await check_start(Settings(), {"agent.responses": WRITE})
    return broker.asked


@pytest.mark.parametrize("cause", [KafkaConnectionError("closed"), RequestTimedOutError(), TimeoutError()])
async def test_a_broker_that_fails_while_it_is_asked_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, cause: Exception
) -> None:
    """The lab, seed 4: a worker that started while a broker was paused ended with exit code 2."""
    broker = Broker(because(ProvisionError("refused"), cause), because(ProvisionError("refused"), cause))
    assert await asked_of(monkeypatch, broker) == 3


async def test_a_broker_that_is_named_and_cannot_be_reached_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await asked_of(monkeypatch, Broker(because(BrokerUnreachableError("named"), NodeNotReadyError()))) == 2


@pytest.mark.parametrize(
    "error",
    [
        because(BrokerUnreachableError("nobody answers"), KafkaConnectionError("unable to bootstrap")),
        because(ProvisionError("refused"), TopicAuthorizationFailedError()),
        because(ProvisionError("refused"), KafkaError()),
    ],
    ids=["no broker", "not allowed", "not passing"],
)
async def test_what_will_not_pass_ends_the_start_at_once(
    monkeypatch: pytest.MonkeyPatch, error: ProvisionError
) -> None:
    broker = Broker(error)
    with pytest.raises(CannotStartError, match=str(error)):
        await asked_of(monkeypatch, broker)
    assert broker.asked == 1


async def test_a_fault_that_stays_ends_the_start_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_CLUSTER_WITHIN_S", 0.02)
    stays = [because(ProvisionError("refused"), KafkaConnectionError("closed")) for _ in range(10_000)]
    with pytest.raises(CannotStartError, match="refused"):
        await asked_of(monkeypatch, Broker(*stays))


@pytest.mark.parametrize(
    ("wanted", "found", "starts"),
    [("12", "24", True), ("12", "6", False), ("1", "3", False), ("6", "8", True)],
)
async def test_partitions_that_were_added_do_not_keep_a_process_from_starting(
    monkeypatch: pytest.MonkeyPatch, wanted: str, found: str, starts: bool
) -> None:
    """The lab's soak, seed 1: partitions were added while the fleet ran, and the next worker ended with exit code 2."""

    async def check(client_options: Mapping[str, Any], wanted_topics: object, needed: object) -> Report:
        return Report((), (Difference("partitions", "agent.responses", "partitions", wanted, found, "grow it"),), ())

    monkeypatch.setattr(provision, "check", check)
    if starts:
        await check_start(Settings(), {"agent.responses": WRITE})
    else:
        with pytest.raises(CannotStartError, match="grow it"):
            await check_start(Settings(), {"agent.responses": WRITE})
