"""Pages of the control room over an index that was filled: the real application, asked over HTTP, without a broker."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import aiohttp
from aiohttp import web

from ops.processes.ui import fleet_view
from ops.ui.access import Access
from ops.ui.app import ui_app
from ops.ui.fleet_reader import FleetReader
from ops.ui.index.reader import IndexReader
from ops.ui.index.store import IndexStore
from ops.ui.records import RecordFinder
from ops.ui.room import Room
from ops.ui.sessions import Sessions
from streams.actions.audit import AdminView
from streams.settings import load_effective
from topics.names import V1

_TRIES: Final = 5
_OLDER: Final = re.compile(r'href="(/requests\?[^"]*before=[0-9a-f]{28})"').search


@dataclass(frozen=True, slots=True)
class Asked:
    """A page that was asked for some times: seconds by the clock until it was there as a whole, and of this process's CPU, in
    which who asks is too.
    """

    name: str
    times_s: Sequence[float]
    cpu_s: Sequence[float]
    size: int

    def __str__(self) -> str:
        took, cpu = sorted(self.times_s), sorted(self.cpu_s)
        times = f"{took[len(took) // 2] * 1000:.0f} ms, at most {took[-1] * 1000:.0f} ms"
        return f"{self.name}: {times}; {cpu[len(cpu) // 2] * 1000:.0f} ms of CPU; {self.size / 1024:.0f} KiB"


def paths(newest_id: str) -> Iterator[tuple[str, str]]:
    """Pages by name, the dear ones among them."""
    yield "overview", "/"
    yield "queues", "/queues"
    yield "newest requests", "/requests"
    yield "failed in the last hour", "/requests?status=error&status=expired&status=dead&since=1h"
    yield "without an answer", "/requests?status=waiting"
    yield "an agent's, 24 h", "/requests?agent=agent-7&since=24h"
    yield "an agent's that fail", "/requests?agent=agent-8&status=error"
    yield "an error's", "/requests?error=provider_timeout"
    yield "dead of a reason and provider", "/requests?reason=exhausted&provider=provider-1"
    yield "a model's, 24 h", "/requests?model=large&since=24h"
    yield "nobody's", "/requests?agent=nobody"
    yield "slower than anything was", "/requests?slower=1000000"
    yield "no such provider, 24 h", "/requests?provider=none&since=24h"
    yield "all there is", "/requests?from=2001-01-01"
    yield "dead letters", "/dead-letters"
    yield "dead letters of an hour", "/dead-letters?since=1h"
    yield "find by id", f"/find?id={quote(newest_id)}"
    yield "find no id", "/find?id=nobodys"


async def ask_pages(store: IndexStore, newest_id: str, now_s: float, tries: int = _TRIES) -> list[Asked]:
    """Each page several times, its next page too where it has one."""
    effective = load_effective()
    options = effective.settings.kafka.client_options()
    fleet = fleet_view(effective.settings)
    room = Room(
        effective, store, IndexReader(options, V1, store), fleet, FleetReader(options, fleet), RecordFinder(options),
        Access(effective.settings.ui, Sessions({})), AdminView(), now=lambda: now_s,
    )  # fmt: skip
    runner = web.AppRunner(ui_app(room, lambda: True))
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        async with aiohttp.ClientSession(f"http://{host}:{port}") as http:
            found: list[Asked] = []
            for name, path in paths(newest_id):
                asked, text = await _ask(http, name, path, tries, room)
                found.append(asked)
                if (older := _OLDER(text)) is not None:
                    found.append((await _ask(http, f"{name}, behind", older[1].replace("&amp;", "&"), tries, room))[0])
            return found
    finally:
        await runner.cleanup()


async def _ask(http: aiohttp.ClientSession, name: str, path: str, tries: int, room: Room) -> tuple[Asked, str]:
    times, cpu = [], []
    text = ""
    for _ in range(tries):
        room.forget_kept()
        began, spent = time.perf_counter(), time.process_time()
        async with http.get(path, allow_redirects=False, headers={"Accept": "text/html"}) as answer:
            text = await answer.text()
            if answer.status not in (200, 303, 404):
                raise RuntimeError(f"{path}: {answer.status}: {text[:200]}")
        times.append(time.perf_counter() - began)
        cpu.append(time.process_time() - spent)
    return Asked(name, times, cpu, len(text)), text
