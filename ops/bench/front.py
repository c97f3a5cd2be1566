"""What the front adds to a call, beside the same call made directly and the LiteLLM proxy; and what it takes to hold many.

All three ways are loaded by the same program against the same upstream, one after the other, so that differences are the way's.
A token carries the moment at which the upstream sent it: `token` is how long it was on its way.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, Final

import orjson
import psutil

from ops.bench.figures import Report
from ops.bench.front_held import WAITING, Sizes, in_words, measure_held
from ops.bench.ground import Ground
from ops.bench.http_load import Plan
from ops.bench.litellm import LITELLM, litellm_proxy
from ops.bench.machine import machine, versions
from ops.bench.meter import SENT, WARM, Idle
from ops.bench.run import BenchError
from ops.bench.upstream import LISTENS
from ops.processes.fleet import Fleet, WorkerProcess

STREAMS: Final = 200
FEW: Final = 50
"""Streams, and posts a second, of the smaller load: where the full one fills the machine, this one shows what the way adds."""
POSTS_A_SECOND: Final = 200

_OTHERS: Final = ("upstream", "broker", "load")
_REST_WITHIN_S: Final = 90.0
_TOKENS: Final = (5, 250)
"""Of a stream: of one that is alone, and so begins often; of many at a time."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a call gets to the upstream. `processes`: whose CPU it costs beyond the upstream's, by name."""

    name: str
    url: str
    processes: dict[str, int]
    key_file: str | None = None
    beside: dict[str, int] = field(default_factory=dict)
    """Others on the same cores that are neither the way nor the load."""


async def measure(
    ground: Ground,
    seconds: float,
    *,
    with_litellm: bool,
    streams: int = STREAMS,
    with_held: bool = True,
    sizes: Sizes = Sizes(),  # noqa: B008 - frozen
) -> Report:
    """Streams and posts each way, few and many; then, of the front alone, what it holds (front_held.py)."""
    held: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    runs: list[dict[str, Any]] = []
    upstream = ground.run("ops.bench.token_upstream", [])
    try:
        url = await upstream.wait_for(LISTENS, 20)
        beside = {"upstream": upstream.child.pid}
        async with front_of(ground, url) as front:
            with_broker = beside if ground.broker.pid is None else {**beside, "broker": ground.broker.pid}
            for way in (Way("direct", url, {}, beside=beside), replace(front, beside=with_broker)):
                await _all_loads(ground, way, seconds, streams, runs)
            if with_held:
                held = await measure_held(
                    partial(measure_one, ground, front),
                    plan_of(ground, 0, seconds, url),
                    replace(sizes, seconds=seconds),
                    partial(rss_of, front),
                )
        if with_litellm:
            try:
                async with litellm_proxy(ground, url) as (proxied, pid, key_file):
                    proxy = Way(LITELLM, proxied, {LITELLM: pid}, str(key_file), beside)
                    await _all_loads(ground, proxy, seconds, streams, runs, failed)
            except BenchError as error:
                failed[LITELLM] = str(error)
                ground.say(f"{LITELLM} cannot be measured: {error}")
    finally:
        await upstream.stop()
    values = {"runs": runs, "held": held, "failed": failed, "seconds": seconds}
    return Report(
        "What a call through the front adds, in ms",
        [
            "",
            "load",
            "first p50",
            "first p99",
            "token p50",
            "token p99",
            "cut",
            "refused",
            "cores",
            "others",
            "idle",
        ],
        [_row(run, _direct(runs, run["load"])) for run in runs],
        {**values, "machine": machine(), "versions": versions(), "broker": ground.broker.kind},
        notes=[
            "beyond what the direct call takes at the same quantile; first: until the first token, or the whole answer",
            f"others: cores of {', '.join(_OTHERS)}",
            "idle: of all cores. Where it is near 0 the machine is full: load, upstream and broker are on it, too",
            *(in_words(each) for each in held),
        ],
    )


@asynccontextmanager
async def front_of(ground: Ground, upstream: str) -> AsyncIterator[Way]:
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


async def _all_loads(
    ground: Ground,
    way: Way,
    seconds: float,
    streams: int,
    runs: list[dict[str, Any]],
    failed: dict[str, str] | None = None,
) -> None:
    """Each load this way, into `runs`. What a peer does not carry is noted in `failed`, and the next load follows."""
    loads = [
        ("alone", 1),
        ("streams", 1),
        ("streams", min(FEW, streams)),
        ("streams", streams),
        ("posts", FEW),
        ("posts", POSTS_A_SECOND),
    ]
    for kind, count in dict.fromkeys(loads):
        try:
            runs.append(
                await measure_one(ground, way, kind, plan_of(ground, count, seconds, tokens=_TOKENS[count > 1]))
            )
        except BenchError as error:
            if failed is None:
                raise
            failed[f"{way.name}, {count} {kind}"] = str(error)
            ground.say(f"{way.name}, {count} {kind}: cannot be measured: {error}")


async def measure_one(ground: Ground, way: Way, kind: str, plan: Plan) -> dict[str, Any]:
    """One load one way; CPU between its marks, memory at the second."""
    plan = replace(plan, key_file=way.key_file)
    what = {
        "streams": "streams",
        "posts": "posts/s",
        "waiting": "waiting",
        "stopped": "stopped",
        "gone": "gone",
        "alone": "post",
    }[kind]
    run = ground.run("ops.bench.http_load", [kind, way.url, orjson.dumps(asdict(plan)).decode()])
    pids = {**way.processes, **way.beside}
    processes = {name: psutil.Process(pid) for name, pid in pids.items()}
    lasts_s = plan.warm_s + plan.seconds + _REST_WITHIN_S
    try:
        await run.wait_for(WARM, lasts_s)
        before = {name: sum(process.cpu_times()[:2]) for name, process in processes.items()}
        busy = Idle()
        await run.wait_for(SENT, lasts_s)
        cores = {
            name: round((sum(process.cpu_times()[:2]) - before[name]) / plan.seconds, 3)
            for name, process in processes.items()
        }
        rss, idle = rss_of(way), busy.idle()
        figures = await run.result(_REST_WITHIN_S + plan.tokens * plan.each_ms / 1000)
        cores["load"] = round(figures["cpu_s"] / plan.seconds, 3)
    finally:
        await run.stop()
    load = f"{plan.count} {what}"
    ground.say(
        f"{way.name:8} {load:14} first {figures['first_ms']['p50']:.1f} / {figures['first_ms']['p99']:.1f}, token "
        f"{figures['token_ms']['p50']:.1f} / {figures['token_ms']['p99']:.1f} ms (p50 / p99), cores {cores}, idle {idle:.0%}"
    )
    return {"way": way.name, "load": load, "seconds": plan.seconds, **figures, "cores": cores, "idle": idle, "rss": rss}


def plan_of(
    ground: Ground, count: int, seconds: float, upstream: str | None = None, *, tokens: int = _TOKENS[1]
) -> Plan:
    return Plan(f"{ground.name('front')}-{secrets.token_hex(4)}", count, seconds, upstream=upstream, tokens=tokens)


def rss_of(way: Way) -> int:
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

    cores = " ".join(f"{name} {used:.2f}" for name, used in run["cores"].items() if name not in _OTHERS)
    others = sum(used for name, used in run["cores"].items() if name in _OTHERS)
    figures = [("first_ms", "p50"), ("first_ms", "p99"), ("token_ms", "p50"), ("token_ms", "p99")]
    return [
        run["way"], run["load"], *(added(*each) for each in figures), str(run["cut"]), str(run["refused"]), cores,
        f"{others:.2f}", f"{run['idle']:.0%}",
    ]  # fmt: skip
