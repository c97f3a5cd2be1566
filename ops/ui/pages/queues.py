"""Queues: what waits, by class, agent and partition, and who waits for what."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from ops.admin.agents import together
from ops.admin.ask_workers import Asked
from ops.ui import workers
from ops.ui.index import queries
from ops.ui.render import html
from ops.ui.room import ROOM, Room
from streams.waits import WORDS
from topics.names import PRIORITIES

_MOST_AGENTS: Final = 50
_FRESH_S: Final = 1.5


@dataclass(slots=True)
class AgentLine:
    """An agent over all workers that were asked."""

    agent_id: str
    waiting: int = 0
    in_flight: int = 0
    bytes: int = 0
    busy_share: float = 0.0
    behind: bool = False
    workers: list[str] = field(default_factory=list)


async def queues(request: web.Request) -> web.Response:
    """GET /queues"""
    room = request.app[ROOM]
    return html(
        request, "queues.html", orders=room.admin.orders, **await room.kept("queues", _FRESH_S, lambda: _values(room))
    )


async def _values(room: Room) -> dict[str, Any]:
    now = room.now()
    window, backlog = room.fleet.present(now), room.fleet.backlog()
    flows = await workers.flows(room)
    taken: dict[str, int] = defaultdict(int)
    for seen in room.fleet.workers(now):
        for name, count in seen.sample.application.taken.items():
            taken[name] += count
    in_workers: dict[str, int] = defaultdict(int)
    for asked in flows:
        for name, count in (asked.said.waiting if asked.said else {}).items():
            in_workers[name] += count
    oldest = {name: await room.query(queries.oldest_waiting, name) for name in PRIORITIES}
    classes = [
        {
            "name": name,
            "lag": None if window is None or window.application.lag is None else window.application.lag.get(name),
            "taken": taken.get(name, 0),
            "waiting": in_workers.get(name) if any(each.said for each in flows) else None,
            "oldest": oldest[name],
            "age": None if (row := oldest[name]) is None else max(0.0, now - row.time_ms / 1000),
        }
        for name in PRIORITIES
    ]
    partitions = await room.query(queries.waiting_by_partition)
    return {
        "classes": classes,
        "waiting_for": together([each.said for each in flows if each.said is not None]).waiting_for,
        "reasons": WORDS,
        "agents": _agents(flows),
        "flows": flows,
        "partitions": list(partitions.items()),
        "without_answer": sum(partitions.values()),
        "backlog": backlog,
        "window": window,
    }


def _agents(flows: list[Asked[Any]]) -> list[AgentLine]:
    lines: dict[str, AgentLine] = {}
    for asked in flows:
        for each in asked.said.agents if asked.said else ():
            line = lines.setdefault(each.agent_id, AgentLine(each.agent_id))
            line.waiting += each.waiting
            line.in_flight += each.in_flight
            line.bytes += each.bytes
            line.busy_share = max(line.busy_share, each.busy_share)
            line.behind = line.behind or each.behind
            line.workers.append(asked.worker_id)
    return sorted(lines.values(), key=lambda line: (-line.waiting, -line.busy_share, line.agent_id))[:_MOST_AGENTS]
