"""What a worker takes of the CPU, beside another one on the same broker: by the record, and at rest."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from ops.brokers import Broker
from ops.load.ledger import Ledger
from ops.load.traffic import Traffic
from tests.support.fixtures import FULL
from tests.support.pipeline import Pipeline, delete_topics, make_topics, request
from tests.support.simulator import Simulator
from topics.names import TopicNames

PER_SECOND: Final = 400
"""Calls, each of its own: several share a request to the broker."""
_SECONDS, _REST_S = (10, 8) if FULL else (4, 3)


@dataclass(frozen=True, slots=True)
class Figures:
    """CPU of the worker: microseconds a record, and milliseconds a second at rest."""

    us_a_record: float
    ms_a_second: float


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(
    broker: Broker,
    client_options: Mapping[str, Any],
    directory: Path,
    settings: Mapping[str, object],
    names: TopicNames,
    *,
    at_rest: bool = True,
) -> Figures:
    """A worker with these settings on the broker, whose contract topics are made anew. `client_options`: the traffic's.

    `at_rest`: whether its rest is measured, too; else that figure is 0.
    """
    directory.mkdir()  # noqa: ASYNC240 - one folder
    await delete_topics(client_options)
    await make_topics(client_options, names)
    async with Simulator(directory) as simulator, AsyncExitStack() as stack:
        pipeline = Pipeline(broker, f"g-{os.urandom(4).hex()}", directory, simulator)
        fleet = await stack.enter_async_context(pipeline.fleet(**settings))
        (worker,) = await fleet.start(1, ready_within_s=60.0)
        groups = [names]
        if names.tenants:
            groups = [
                replace(
                    names, topic_of=own.topic_of, requests=tuple(own.topic_of.values()), responses=own.responses,
                    dead_letters=own.dead_letters,
                )
                for own in names.tenants.values()
            ]  # fmt: skip
        traffics = [await stack.enter_async_context(Traffic(client_options, Ledger(), names=each)) for each in groups]
        await _send(traffics, "warm", PER_SECOND)
        before = _cpu_s(worker.pid)
        await _send(traffics, "counted", PER_SECOND * _SECONDS)
        a_record = (_cpu_s(worker.pid) - before) / (PER_SECOND * _SECONDS)
        if not at_rest:
            return Figures(a_record * 1e6, 0.0)
        await asyncio.sleep(1.0)
        before = _cpu_s(worker.pid)
        await asyncio.sleep(_REST_S)
        return Figures(a_record * 1e6, (_cpu_s(worker.pid) - before) / _REST_S * 1e3)


async def _send(traffics: list[Traffic], name: str, count: int) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / PER_SECOND - loop.time()))
        await traffics[number % len(traffics)].send(
            "normal", f"agent-{number % 8}", request(f"{name}-{os.getpid()}-{number}")
        )
    for traffic in traffics:
        assert await traffic.wait_answered(120)
