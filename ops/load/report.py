"""How a load is shown: live while it runs, a table at its end, flat keys for programs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table

from ops.admin.scrape import WorkerCounts
from ops.load.ledger import Summary
from ops.load.play import View, written_ms

_REFRESH_S = 0.5
_PLAIN_EVERY_S = 5.0
_CACHE = ("memory", "disk", "joined", "miss")
_COUNTS = ("sent", "answered", "ok", "error", "expired", "rejected", "dead", "lost", "duplicates")


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What came of a load."""

    summary: Summary
    lasted_s: float
    interrupted: bool = False
    facts: Mapping[str, str | int | float] = field(default_factory=dict)
    """What it ran with, for programs: rate, broker, …"""
    by_worker: Mapping[str, WorkerCounts] = field(default_factory=dict)
    """What each worker counted, as its own metrics tell."""

    def flat(self) -> dict[str, Any]:
        """One level of keys: the summary's, the facts, `<worker>_responses`, and `cache_<where an answer came from>`."""
        counts = {f"{name}_responses": sum(worker.responses.values()) for name, worker in self.by_worker.items()}
        ends = {"lasted_s": round(self.lasted_s, 1), "interrupted": self.interrupted}
        cache = {f"cache_{result}": count for result, count in self.cache().items()}
        return {**asdict(self.summary), **ends, **self.facts, **counts, **cache}

    def cache(self) -> dict[str, int]:
        """Requests of all workers by where their answer came from; empty where no worker told."""
        if not self.by_worker:
            return {}
        return {name: sum(worker.cache.get(name, 0) for worker in self.by_worker.values()) for name in _CACHE}


@asynccontextmanager
async def shown_live(view: Callable[[], View], console: Console) -> AsyncIterator[None]:
    """Show the load while the block runs: in place on a terminal, else a line every 5 s."""
    with Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else _Nothing() as live:

        async def show() -> None:
            while True:
                if isinstance(live, Live):
                    live.update(_as_row(view()), refresh=True)
                    await asyncio.sleep(_REFRESH_S)
                else:
                    await asyncio.sleep(_PLAIN_EVERY_S)
                    console.print(_as_line(view()), highlight=False, soft_wrap=True)

        showing = asyncio.create_task(show())
        try:
            yield
        finally:
            showing.cancel()
            await asyncio.gather(showing, return_exceptions=True)


def summary_table(result: LoadResult) -> RenderableType:
    """The end of a load for people."""
    books = result.summary
    title = "Interrupted" if result.interrupted else "Summary"
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for name in _COUNTS:
        style = "bold red" if name == "lost" and books.lost and not result.interrupted else None
        # What an interrupted load has not seen answered is not lost: nobody has waited for it.
        heading = "open" if name == "lost" and result.interrupted else name
        table.add_column(heading, justify="right", style=style)
    table.add_row(*(str(getattr(books, name)) for name in _COUNTS))
    latency = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("p50", "p95", "p99", "max"):
        latency.add_column(name, justify="right")
    latency.add_row(*(written_ms(value) for value in (books.p50_ms, books.p95_ms, books.p99_ms, books.max_ms)))
    parts: list[RenderableType] = [table, latency]
    if result.by_worker:
        workers = Table(box=SIMPLE_HEAD, pad_edge=False)
        workers.add_column("worker")
        statuses = sorted({status for worker in result.by_worker.values() for status in worker.responses})
        for heading in ("responses", *statuses, *(f"from {name}" if name != "miss" else "missed" for name in _CACHE)):
            workers.add_column(heading, justify="right")
        for name, worker in result.by_worker.items():
            numbers = [sum(worker.responses.values()), *(worker.responses.get(status, 0) for status in statuses)]
            numbers += [worker.cache.get(where, 0) for where in _CACHE]
            workers.add_row(name, *map(str, numbers))
        parts.append(workers)
    return Group(*parts)


def _as_row(view: View) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    fields = view.fields()
    for name, _ in fields:
        table.add_column(name, justify="right", min_width=6)
    table.add_row(*(value for _, value in fields))
    return table


def _as_line(view: View) -> str:
    return "  ".join(value if name == "elapsed" else f"{name} {value}" for name, value in view.fields())


class _Nothing:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None
