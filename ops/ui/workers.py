"""What running workers say over HTTP of their endpoints and agents, asked by the address in their samples.

By the functions of `headrace providers list` and `headrace agents top`; each worker is asked once in a while, however many look.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from ops.admin import agents, providers
from ops.admin.ask_workers import Asked, ask_all
from ops.admin.cache import worker_figures
from ops.admin.where import where_is
from ops.ui.room import Room
from streams.flow.stats import FlowStats
from streams.providers.stats import EndpointStats
from streams.waits import Told

Said = TypeVar("Said")

_FRESH_S: Final = 2.0
_TAKES_CALLS: Final = frozenset({"healthy", "half_open"})


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


async def where(room: Room, request_id: str, record: str) -> Told | None:
    """Where a request without an answer is, by the worker that has it; one question for all who look at it."""
    now = room.now()
    samples = [each.sample for each in room.fleet.workers(now)]
    found: Told | None = await room.kept(
        ("where", record), _FRESH_S / 2, lambda: where_is(samples, request_id, record, now)
    )
    return found


async def sick_endpoints(room: Room) -> list[str]:
    """Endpoints that get no calls from any worker that could be asked, by their URL."""
    return sick_of(await endpoints(room))


def sick_of(told: Sequence[Asked[list[EndpointStats]]]) -> list[str]:
    """The same of what workers have told. One that an operator drained is no trouble while its provider has another."""
    states: dict[str, set[str]] = {}
    providers: dict[str, set[str]] = {}
    for asked in told:
        for each in asked.said or ():
            states.setdefault(each.url, set()).add(each.state)
            providers.setdefault(each.url, set()).add(each.provider)
    idle = [url for url, found in states.items() if not found & _TAKES_CALLS]
    served = set().union(*(of for url, of in providers.items() if url not in idle))
    return sorted(url for url in idle if states[url] != {"draining"} or not providers[url] <= served)


async def _ask_all(room: Room, look: Callable[[str], Awaitable[Said]]) -> list[Asked[Said]]:
    return await ask_all([each.sample for each in room.fleet.workers(room.now())], look)
