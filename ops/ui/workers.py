"""What running workers say over HTTP of their endpoints and agents, asked by the address in their samples.

By the functions of `headrace providers list` and `headrace agents top`; each worker is asked once in a while, however many look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from ops.admin import agents, providers
from ops.admin.cache import worker_figures
from ops.ui.room import Room
from schemas.metric_sample import MetricSample
from streams.flow.stats import FlowStats
from streams.hosts import is_loopback
from streams.identity import process_id
from streams.providers.stats import EndpointStats

Said = TypeVar("Said")

_FRESH_S: Final = 2.0
_MOST_ASKED: Final = 64
"""Workers that are asked for one page; what more there are is told by their samples alone."""


@dataclass(frozen=True, slots=True)
class Asked(Generic[Said]):
    """A worker, and what it said; None: it cannot be reached from here, and `problem` says why."""

    worker_id: str
    address: str | None
    said: Said | None
    problem: str | None = None


async def endpoints(room: Room) -> list[Asked[list[EndpointStats]]]:
    """The endpoints as each worker knows them."""
    found: list[Asked[list[EndpointStats]]] = await room.kept(
        "endpoints", _FRESH_S, lambda: _ask_all(room, providers.look)
    )
    return found


async def flows(room: Room) -> list[Asked[FlowStats]]:
    """What each worker's flow does."""
    found: list[Asked[FlowStats]] = await room.kept("flows", _FRESH_S, lambda: _ask_all(room, agents.look))
    return found


async def cache_figures(room: Room) -> list[Asked[dict[str, float]]]:
    """What each worker counts of its cache."""
    found: list[Asked[dict[str, float]]] = await room.kept(
        "cache figures", _FRESH_S, lambda: _ask_all(room, worker_figures)
    )
    return found


async def sick_endpoints(room: Room) -> list[str]:
    """Endpoints that get no calls from any worker that could be asked, by their URL."""
    states: dict[str, set[str]] = {}
    for asked in await endpoints(room):
        for each in asked.said or ():
            states.setdefault(each.url, set()).add(each.state)
    return sorted(url for url, found in states.items() if not found & {"healthy", "half_open"})


async def _ask_all(room: Room, look: Callable[[str], Awaitable[Said]]) -> list[Asked[Said]]:
    seen = room.fleet.workers(room.now())
    return list(await asyncio.gather(*(_ask(each.sample, look) for each in seen[:_MOST_ASKED])))


async def _ask(sample: MetricSample, look: Callable[[str], Awaitable[Said]]) -> Asked[Said]:
    address = sample.address
    if address is None:
        return Asked(sample.worker_id, None, None, "its samples name no address")
    if is_loopback(address.rpartition(":")[0].strip("[]")) and _host(sample.worker_id) != _host(process_id()):
        return Asked(sample.worker_id, address, None, "it listens on loopback of another machine: see http.listen")
    try:
        return Asked(sample.worker_id, address, await look(address))
    except OSError as error:
        return Asked(sample.worker_id, address, None, str(error))


def _host(identity: str) -> str:
    """The host in a process's id: before its pid and its random digits."""
    return identity.rsplit("-", 2)[0]
