"""Provider calls: the worker's path over http and https, a bare aiohttp loop as the limit, the LiteLLM proxy, and misses of a
whole worker.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from ops.bench.certificate import issue
from ops.bench.figures import Report
from ops.bench.ground import LIMITS, UPSTREAM_MS, Ground
from ops.bench.litellm import LITELLM, litellm_proxy, litellm_python
from ops.bench.machine import machine, peer_versions, versions
from ops.bench.run import BenchError
from ops.bench.upstream import LISTENS
from ops.bench.work import Load

CONCURRENCY: Final = (1, 8, 32, 128)
_MISSES: Final = 20_000


async def measure(ground: Ground, seconds: float, rounds: int, *, with_litellm: bool) -> Report:
    """Every client at every concurrency, round after round, every second one in the opposite order; then misses through a
    whole worker.
    """
    failed: dict[str, str] = {}
    facts: dict[str, Any] = {"machine": machine(), "versions": {"headrace": versions()}}
    async with _over_tls(ground, failed) as over_tls:
        ways = {"headrace": ground.settings(ground.name("provider")), **over_tls}
        ways["aiohttp"] = ways["headrace"]
        runs = await _rounds(ground, ways, seconds, rounds)
    if with_litellm:
        try:
            facts["versions"][LITELLM] = await peer_versions(await litellm_python(ground), [LITELLM])
            async with litellm_proxy(ground, ground.upstream) as (url, pid, key_file):
                options = ["--pid", str(pid), "--key-file", str(key_file)]
                runs += [await _run(ground, LITELLM, "aiohttp", url, each, seconds, options) for each in CONCURRENCY]
        except BenchError as error:
            failed[LITELLM] = str(error)
            ground.say(f"{LITELLM} cannot be measured: {error}")
    whole = await _whole_worker(ground)
    values = {"runs": runs, "worker": whole, "failed": failed, "upstream_ms": UPSTREAM_MS, **facts}
    return Report(
        f"Calls to an upstream of {UPSTREAM_MS} ms",
        ["", "at a time", "calls/s", "CPU ms", "p50 added", "p99 added", "failed"],
        [_row(run) for run in _medians(runs)]
        + [
            [
                "worker, Kafka to Kafka",
                "1000",
                f"{whole['rate']:,.0f}",
                f"{whole['cpu_us'] / 1000:.3f}",
                "",
                "",
                "0",
            ]
        ],
        {**values, "ratios": _ratios(runs)},
        notes=["CPU: ms a call; added: ms beyond the upstream's own; medians of the rounds", LIMITS],
    )


@asynccontextmanager
async def _over_tls(ground: Ground, failed: dict[str, str]) -> AsyncIterator[dict[str, Path]]:
    """An upstream that speaks HTTP/2 and HTTP/1.1 over TLS, and the settings for each; none where that cannot be had."""
    try:
        certificate = issue(ground.folder)
    except BenchError as error:
        failed["https"] = str(error)
        ground.say(f"https cannot be measured: {error}")
        yield {}
        return
    files = [str(certificate.certificate), str(certificate.key)]
    upstream = ground.run("ops.bench.upstream", [str(UPSTREAM_MS), *files])
    try:
        url = await upstream.wait_for(LISTENS, 20)
        yield {
            f"headrace, {name}": ground.settings(
                ground.name("provider"), url, certificate.authority, network__multiplexing_from=multiplexing_from
            )
            for name, multiplexing_from in (("https, HTTP/1.1", 1_000_000), ("https, HTTP/2", 1))
        }
    finally:
        await upstream.stop()


async def _rounds(ground: Ground, ways: dict[str, Path], seconds: float, rounds: int) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = []
    for number in range(rounds):
        for concurrency in CONCURRENCY:
            for name, settings in list(ways.items())[:: -1 if number % 2 else 1]:
                client = name.partition(",")[0]
                options = ["--settings", str(settings)]
                runs.append(await _run(ground, name, client, ground.upstream, concurrency, seconds, options))
    return runs


def _medians(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One of each client and concurrency: the run of the median CPU."""
    by_way: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for run in runs:
        by_way.setdefault((run["client"], run["concurrency"]), []).append(run)
    names = list(dict.fromkeys(name for name, _ in by_way))
    return [
        sorted(by_way[way], key=lambda run: run["cpu_ms"])[(len(by_way[way]) - 1) // 2]
        for way in sorted(by_way, key=lambda way: (names.index(way[0]), way[1]))
    ]


async def _run(
    ground: Ground, name: str, client: str, url: str, concurrency: int, seconds: float, options: Sequence[str]
) -> dict[str, Any]:
    arguments = [client, url, str(concurrency), str(seconds), *options]
    figures = await ground.run("ops.bench.calls", arguments).result(seconds + 60)
    ground.say(
        f"{name:25} {concurrency:>4} at a time: {figures['rate']:>8,.0f}/s, {figures['cpu_ms']:.3f} ms of CPU a call"
    )
    return {"client": name, "concurrency": concurrency, **figures}


async def _whole_worker(ground: Ground) -> dict[str, Any]:
    await ground.filled(Load(_MISSES, distinct=_MISSES, run="miss"))
    await ground.fresh_answers()
    figures = await ground.run_worker(_MISSES).result(180)
    ground.say(f"worker, Kafka to Kafka: {figures['rate']:,.0f}/s, {figures['cpu_us'] / 1000:.3f} ms of CPU a call")
    return figures


def _row(run: dict[str, Any]) -> list[str]:
    added = [f"{run['ms'][name] - UPSTREAM_MS:.2f}" for name in ("p50", "p99")]
    return [
        run["client"],
        str(run["concurrency"]),
        f"{run['rate']:,.0f}",
        f"{run['cpu_ms']:.3f}",
        *added,
        str(run["failed"]),
    ]


def _ratios(runs: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The worker's best rate over the others'."""
    best: dict[str, float] = {}
    for run in runs:
        best[run["client"]] = max(best.get(run["client"], 0.0), run["rate"])
    return {name: round(best["headrace"] / rate, 2) for name, rate in best.items() if name != "headrace" and rate}
