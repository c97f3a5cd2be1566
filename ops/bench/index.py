"""The control room's index by itself: requests a second into it on a core, and what pages and look-ups take at its size."""

from __future__ import annotations

import random
import resource
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from ops.ui.index import queries
from ops.ui.index.events import Event, read_event
from ops.ui.index.filters import Filters
from ops.ui.index.store import IndexStore
from topics.names import V1

_BATCH: Final = 1_000
_PARTITIONS: Final = 12
_AGENTS: Final = 1_000
_FIRST_MS: Final = 1_780_000_000_000
_A_SECOND: Final = 2_000
_DISK: Final = 2 * 10**9
_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class _Record:
    offset: int
    timestamp: int
    value: bytes
    key: bytes
    headers: list[tuple[str, bytes]]


def run_index(requests: int, folder: Path) -> Iterator[str]:
    """Fill an index in `folder` and ask it; a line for each figure. Records are made outside of what is timed."""
    store = IndexStore(folder / "ui", keep=10_000_000, disk_bytes=_DISK)
    try:
        cpu_s = wall_s = 0.0
        last = ""
        for first in range(0, requests, _BATCH):
            asked, answered, last = _records(first, min(requests, first + _BATCH))
            began, cpu = time.perf_counter(), time.process_time()
            for records in (asked, answered):
                events = [event for each in records if (event := _event(each)) is not None]
                store.apply(events, {(V1.responses, 0): first})
            cpu_s, wall_s = cpu_s + time.process_time() - cpu, wall_s + time.perf_counter() - began
        disk = sum(each.stat().st_blocks * 512 for each in store.path.iterdir())
        rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        yield f"{requests:,} requests and answers: {requests / cpu_s:,.0f}/s of CPU, {requests / wall_s:,.0f}/s by the clock"
        yield f"{disk / requests:,.0f} bytes of disk a request, {rss_mb:,.0f} MB resident"
        end_ms = _FIRST_MS + requests * 1000 // _A_SECOND
        asks: dict[str, Callable[[], Any]] = {
            "newest page": lambda: queries.page(store, Filters(), None, 50),
            "page of an agent": lambda: queries.page(store, Filters(agent="agent-7"), None, 50),
            "page of an error": lambda: queries.page(store, Filters(error="provider_error"), None, 50),
            "page that finds nothing": lambda: queries.page(store, Filters(slower_ms=10**6), None, 50),
            "find by id": lambda: queries.rows_of_id(store, last),
            "find no id": lambda: queries.rows_of_id(store, "nobody's"),
            "bars of all": lambda: queries.bars(store, Filters(), _FIRST_MS, end_ms),
            "bars of an agent": lambda: queries.bars(store, Filters(agent="agent-7"), _FIRST_MS, end_ms),
            "the oldest that waits": lambda: queries.oldest_waiting(store, "normal"),
            "dead letters by group": lambda: queries.dead_groups(store),
        }
        for name, ask in asks.items():
            took = sorted(_timed(ask) for _ in range(_TRIES))
            yield f"{name}: {took[_TRIES // 2] * 1000:.1f} ms, at most {took[-1] * 1000:.1f} ms"
    finally:
        store.close()


def _timed(ask: Callable[[], Any]) -> float:
    began = time.perf_counter()
    ask()
    return time.perf_counter() - began


def _event(record: tuple[str, int, _Record]) -> Event | None:
    return read_event(V1, *record)


def _records(first: int, end: int) -> tuple[list[tuple[str, int, _Record]], list[tuple[str, int, _Record]], str]:
    asked, answered = [], []
    request_id = ""
    rng = random.Random(first)
    for number in range(first, end):
        partition, offset, at_ms = number % _PARTITIONS, number // _PARTITIONS, _FIRST_MS + number * 1000 // _A_SECOND
        request_id, agent_id = str(uuid.UUID(int=rng.getrandbits(128))), f"agent-{number % _AGENTS}"
        failed = number % 50 == 0
        ask = {
            "request_id": request_id,
            "agent_id": agent_id,
            "payload": {"model": "small", "messages": [{"content": "hi " * 100}]},
        }
        answer = {
            "request_id": request_id,
            "agent_id": agent_id,
            "status": "error" if failed else "ok",
            "payload": {"choices": [{"message": {"content": "hello " * 60}}]},
            "error": {"type": "provider_error", "message": "no"} if failed else None,
            "usage": {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150},
            "cache": "none",
            "provider": "main",
            "model": "small-1",
            "attempts": 1,
            "timing": {"queue_ms": 1.5, "provider_ms": 870.3, "total_ms": 900.2},
        }
        key, ce_id = agent_id.encode(), f"{V1.requests[1]}:{partition}:{offset}".encode()
        asked.append((V1.requests[1], partition, _Record(offset, at_ms, orjson.dumps(ask), key, [])))
        headers = [("ce_id", ce_id)]
        answered.append((V1.responses, partition, _Record(offset, at_ms + 900, orjson.dumps(answer), key, headers)))
    return asked, answered, request_id
