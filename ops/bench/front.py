"""What the front adds to a call, beside the same call made directly and the LiteLLM proxy; and what it takes to hold many.

All three ways are loaded by the same program against the same upstream, one after the other, so that differences are the way's.
A token carries the moment at which the upstream sent it: `token` is how long it was on its way.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import orjson
import psutil

from ops.bench.figures import Report
from ops.bench.ground import Ground
from ops.bench.http_load import Plan
from ops.bench.litellm import LITELLM, litellm_proxy
from ops.bench.machine import machine, versions
from ops.bench.meter import SENT, WARM
from ops.bench.run import BenchError
from ops.bench.upstream import LISTENS
from ops.processes.fleet import Fleet, WorkerProcess

STREAMS: Final = 200
OPEN_STREAMS: Final = 1_000
POSTS_A_SECOND: Final = 200
WAITING: Final = 10_000
STOPPED: Final = 500

_REST_WITHIN_S: Final = 90.0
_SETTLE_S: Final = 10.0
_KIB: Final = 1024
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Way:
    """How a call gets to the upstream. `processes`: whose CPU it costs beyond the upstream's, by name."""

    name: str
    url: str
    processes: dict[str, int]
    key_file: str | None = None


async def measure(ground: Ground, seconds: float, *, with_litellm: bool) -> Report:
    """Streams and posts each way; then, of the front alone, many open streams, many that wait, many that stopped reading."""
    failed: dict[str, str] = {}
    runs: list[dict[str, Any]] = []
    upstream = ground.run("ops.bench.token_upstream", [])
    try:
        url = await upstream.wait_for(LISTENS, 20)
        async with _front(ground, url) as front:
            for way in (Way("direct", url, {}), front):
                runs += await _both(ground, way, seconds)
            held = [await _held(ground, front, each, seconds) for each in ("streams", "waiting", "stopped")]
        if with_litellm:
            try:
                async with litellm_proxy(ground, url) as (proxied, pid, key_file):
                    runs += await _both(ground, Way(LITELLM, proxied, {LITELLM: pid}, str(key_file)), seconds)
            except BenchError as error:
                failed[LITELLM] = str(error)
                ground.say(f"{LITELLM} cannot be measured: {error}")
    finally:
        await upstream.stop()
    values = {"runs": runs, "held": held, "failed": failed, "seconds": seconds}
    return Report(
        "What a call through the front adds, in ms",
        ["", "load", "first p50", "first p99", "token p50", "token p99", "token max", "cut", "refused", "cores"],
        [_row(run, _direct(runs, run["load"])) for run in runs],
        {**values, "machine": machine(), "versions": versions(), "broker": ground.broker.kind},
        notes=[
            "beyond what the direct call takes at the same quantile; first: until the first token, or the whole answer",
            *(_held_in_words(each) for each in held),
        ],
    )


@asynccontextmanager
async def _front(ground: Ground, upstream: str) -> AsyncIterator[Way]:
    """A worker and a front before the upstream."""
    settings = ground.settings(
        ground.name("front"), upstream, front__listen="127.0.0.1:0", front__max_waiting=2 * WAITING
    )
    front = WorkerProcess("front", settings, ground.folder / "front.log", command="front")
    try:
        async with Fleet(settings, ground.folder) as fleet:
            (worker,) = await fleet.start(1)
            await front.wait_ready()
            listens = str(front.ready_line["listen"])
            yield Way("front", f"{listens}/v1", {"front": front.pid, "worker": worker.pid})
    finally:
        await front.stop()


async def _both(ground: Ground, way: Way, seconds: float) -> list[dict[str, Any]]:
    return [
        await _run(ground, way, "streams", _plan(ground, STREAMS, seconds)),
        await _run(ground, way, "posts", _plan(ground, POSTS_A_SECOND, seconds)),
    ]


async def _held(ground: Ground, front: Way, what: str, seconds: float) -> dict[str, Any]:
    """Many at a time, with the front's memory before and while they are held."""
    before = _rss(front)
    if what == "streams":
        plan = replace(_plan(ground, OPEN_STREAMS, seconds), tokens=100, each_ms=100, warm_s=12)
        figures = await _run(ground, front, "streams", plan)
    elif what == "waiting":
        plan = replace(_plan(ground, WAITING, _SETTLE_S), first_ms=600_000)
        figures = await _run(ground, front, "waiting", plan)
    else:
        plan = replace(_plan(ground, STOPPED, seconds + 2 * _SETTLE_S), tokens=20_000, each_ms=5)
        honest = replace(_plan(ground, 20, seconds), warm_s=2 * _SETTLE_S)
        stopped, figures = await asyncio.gather(
            _run(ground, front, "stopped", plan), _run(ground, front, "streams", honest)
        )
        figures = {**figures, "rss": stopped["rss"], "load": f"{STOPPED} stopped readers"}
    await asyncio.sleep(_SETTLE_S)
    return {**figures, "what": what, "count": plan.count, "rss_before": before, "rss_after": _rss(front)}


async def _run(ground: Ground, way: Way, kind: str, plan: Plan) -> dict[str, Any]:
    """One load one way; CPU between its marks, memory at the second."""
    plan = replace(plan, key_file=way.key_file)
    run = ground.run("ops.bench.http_load", [kind, way.url, orjson.dumps(asdict(plan)).decode()])
    processes = {name: psutil.Process(pid) for name, pid in way.processes.items()}
    lasts_s = plan.warm_s + plan.seconds + _REST_WITHIN_S
    try:
        await run.wait_for(WARM, lasts_s)
        before = {name: sum(process.cpu_times()[:2]) for name, process in processes.items()}
        await run.wait_for(SENT, lasts_s)
        cores = {
            name: round((sum(process.cpu_times()[:2]) - before[name]) / plan.seconds, 3)
            for name, process in processes.items()
        }
        rss = _rss(way)
        figures = await run.result(_REST_WITHIN_S + plan.tokens * plan.each_ms / 1000)
    finally:
        await run.stop()
    load = f"{plan.count} streams" if kind != "posts" else f"{plan.count} posts/s"
    ground.say(
        f"{way.name:8} {load:14} first {figures['first_ms']['p50']:.1f} / {figures['first_ms']['p99']:.1f}, token "
        f"{figures['token_ms']['p50']:.1f} / {figures['token_ms']['p99']:.1f} ms (p50 / p99), cores {cores}"
    )
    return {"way": way.name, "load": load, **figures, "cores": cores, "rss": rss}


def _plan(ground: Ground, count: int, seconds: float) -> Plan:
    return Plan(f"{ground.name('front')}-{secrets.token_hex(4)}", count, seconds)


def _rss(way: Way) -> int:
    return int(psutil.Process(way.processes["front"]).memory_info().rss) if "front" in way.processes else 0


def _direct(runs: Sequence[dict[str, Any]], load: str) -> dict[str, Any]:
    return next(run for run in runs if run["way"] == "direct" and run["load"] == load)


def _row(run: dict[str, Any], direct: dict[str, Any]) -> list[str]:
    """What is added; of the direct call itself what it takes."""

    def added(what: str, quantile: str) -> str:
        if not run["tokens"] and what == "token_ms":
            return ""
        base = 0.0 if run is direct else direct[what][quantile]
        return f"{run[what][quantile] - base:.1f}"

    cores = " + ".join(f"{name} {used:.2f}" for name, used in run["cores"].items())
    figures = [("first_ms", "p50"), ("first_ms", "p99"), ("token_ms", "p50"), ("token_ms", "p99"), ("token_ms", "max")]
    return [
        run["way"], run["load"], *(added(*each) for each in figures), str(run["cut"]), str(run["refused"]), cores
    ]  # fmt: skip


def _held_in_words(held: dict[str, Any]) -> str:
    grown = held["rss"] - held["rss_before"]
    if held["what"] == "waiting":
        each = grown / held["count"] / _KIB
        return f"{held['count']} waiting: {each:.1f} KiB each of the front's memory, {held['refused']} refused"
    cores = ", ".join(f"{name} {used:.2f}" for name, used in held["cores"].items())
    tokens = held["token_ms"]
    return (
        f"{held['count']} {'open streams of 10 tokens/s' if held['what'] == 'streams' else 'stopped readers'}: tokens "
        f"{'' if held['what'] == 'streams' else 'of 20 others '}p50 {tokens['p50']:.0f}, p99 {tokens['p99']:.0f} ms on "
        f"their way, {held['cut']} cut, {grown / _MIB:+.0f} MiB of the front's memory, cores {cores}"
    )
