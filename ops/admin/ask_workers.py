"""Workers asked over HTTP, each by the address that its samples name: what it said, or why it cannot be asked from here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from schemas.metric_sample import MetricSample
from streams.hosts import is_loopback
from streams.identity import process_id

Said = TypeVar("Said")

_MOST_ASKED: Final = 64
"""Workers that are asked at once; what more there are is told by their samples alone."""


@dataclass(frozen=True, slots=True)
class Asked(Generic[Said]):
    """A worker, and what it said; None: it cannot be reached from here, and `problem` says why."""

    worker_id: str
    address: str | None
    said: Said | None
    problem: str | None = None


async def ask_all(samples: Sequence[MetricSample], look: Callable[[str], Awaitable[Said]]) -> list[Asked[Said]]:
    """Ask the workers of these samples by `look(HOST:PORT)`, all at the same time."""
    return list(await asyncio.gather(*(_ask(each, look) for each in samples[:_MOST_ASKED])))


async def _ask(sample: MetricSample, look: Callable[[str], Awaitable[Said]]) -> Asked[Said]:
    address = sample.address
    if address is None:
        return Asked(sample.worker_id, None, None, "its samples name no address")
    if is_out_of_reach(sample):
        return Asked(sample.worker_id, address, None, "it listens on loopback of another machine: see http.listen")
    try:
        return Asked(sample.worker_id, address, await look(address))
    except OSError as error:
        return Asked(sample.worker_id, address, None, str(error))


def is_out_of_reach(sample: MetricSample) -> bool:
    """Whether it can be asked on its own machine alone, and that is another one."""
    host = (sample.address or "").rpartition(":")[0].strip("[]")
    return is_loopback(host) and _host(sample.worker_id) != _host(process_id())


def _host(identity: str) -> str:
    """The host in a process's id: before its pid and its random digits."""
    return identity.rsplit("-", 2)[0]
