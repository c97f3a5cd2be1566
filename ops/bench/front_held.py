"""What a front is like while it holds many: open streams, requests that wait, readers that stop reading, clients that go away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from ops.bench.http_load import Plan

OPEN_STREAMS: Final = 1_000
WAITING: Final = 10_000
STOPPED: Final = 500
GONE: Final = 200
CLOSED_WITHIN_S: Final = 3.0

_KIB: Final = 1024
_MIB: Final = 1 << 20
_HONEST: Final = 20
"""Readers that read, beside those that have stopped."""

Run = Callable[[str, Plan], Awaitable[dict[str, Any]]]
"""One load on the front, by its kind."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many of each; None of what is not measured."""

    streams: int = OPEN_STREAMS
    waiting: int = WAITING
    stopped: int = STOPPED
    gone: int = GONE
    tokens: int = 100
    """Of each open stream, ten a second."""
    seconds: float = 10.0
    settle_s: float = 8.0
    """So long what is held is held before memory is looked at, and the front has to be rid of it."""


async def measure_held(run: Run, plan: Plan, sizes: Sizes, memory: Callable[[], int]) -> list[dict[str, Any]]:
    """Each load after the other. `memory`: of the front, in bytes."""
    found = []
    for what, held in (("streams", _streams), ("waiting", _waiting), ("stopped", _stopped), ("gone", _gone)):
        before = memory()
        figures = await held(run, plan, sizes)
        await asyncio.sleep(sizes.settle_s)
        found.append({**figures, "what": what, "rss_before": before, "rss_after": memory()})
    return found


async def _streams(run: Run, plan: Plan, sizes: Sizes) -> dict[str, Any]:
    hold = replace(
        plan, count=sizes.streams, tokens=sizes.tokens, each_ms=100.0, seconds=sizes.seconds, warm_s=sizes.settle_s
    )
    return {**await run("streams", hold), "count": sizes.streams}


async def _waiting(run: Run, plan: Plan, sizes: Sizes) -> dict[str, Any]:
    held = replace(plan, count=sizes.waiting, seconds=sizes.settle_s, first_ms=600_000)
    return {**await run("waiting", held), "count": sizes.waiting}


async def _stopped(run: Run, plan: Plan, sizes: Sizes) -> dict[str, Any]:
    """Streams of 12 KB/s that nobody reads, and others beside them that are read."""
    lasts_s = sizes.seconds + sizes.settle_s
    stop = replace(plan, count=sizes.stopped, seconds=lasts_s, tokens=20_000, each_ms=500, pad_bytes=6_000)
    read = replace(plan, run=f"{plan.run}-read", count=_HONEST, seconds=sizes.seconds, warm_s=sizes.settle_s)
    stopped, figures = await asyncio.gather(run("stopped", stop), run("streams", read))
    return {**figures, "rss": stopped["rss"], "count": sizes.stopped, "load": f"{sizes.stopped} stopped readers"}


async def _gone(run: Run, plan: Plan, sizes: Sizes) -> dict[str, Any]:
    """Every fourth waits for a whole answer, the others read a stream."""
    go = replace(plan, count=sizes.gone, seconds=CLOSED_WITHIN_S, first_ms=200, tokens=6_000, each_ms=50)
    return {**await run("gone", go), "count": sizes.gone}


def in_words(held: dict[str, Any]) -> str:
    """One line."""
    count, grown = held["count"], held["rss"] - held["rss_before"]
    if held["what"] == "waiting":
        return f"{count} waiting: {grown / count / _KIB:.1f} KiB each of the front's memory, {held['refused']} refused"
    if held["what"] == "gone":
        closed = f"{held['closed']} of {held['under_way']} upstream calls closed within {CLOSED_WITHIN_S:g} s"
        return f"{count} clients that go away: {closed}"
    cores = ", ".join(f"{name} {used:.2f}" for name, used in held["cores"].items())
    tokens = held["token_ms"]
    carried = f"{held['tokens'] / held['seconds']:.0f} tokens/s carried, on their way"
    who = f"{count} open streams of 10 tokens/s: {carried}"
    if held["what"] == "stopped":
        who = f"{count} stopped readers: tokens of {_HONEST} others"
    return (
        f"{who} p50 {tokens['p50']:.0f}, p99 {tokens['p99']:.0f} ms, {held['cut']} cut, {grown / _MIB:+.0f} MiB of the front's "
        f"memory, cores {cores}, idle {held['idle']:.0%}"
    )
