"""Time from request to answer under open-loop load: arrivals at fixed times, whatever becomes of the ones before.

Two clocks are told. `answer` is from the request's record to the response's, both by the broker's clock (whole ms), as the
contract counts. `reader` is from the moment at which the request was *due* until a consumer has its answer in hand: a load
generator that falls behind makes this worse, never better (no coordinated omission).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import orjson
import psutil

from ops.bench.figures import QUANTILES, Report
from ops.bench.ground import LIMITS, UPSTREAM_MS, Ground
from ops.bench.machine import machine, versions
from ops.bench.meter import SENT, WARM
from ops.bench.venvs import peer_python
from ops.bench.work import REQUEST_TOPICS, Load
from ops.processes.fleet import Fleet

WARM_UP_S: Final = 5.0
_START_WITHIN_S: Final = 30.0
_REST_WITHIN_S: Final = 30.0
_DISTINCT: Final = {"hits": 500, "misses": 1_000_000_000}


async def measure(ground: Ground, rates: Sequence[int], seconds: float) -> Report:
    """Each rate with hits, then each with misses; a worker of its own for both."""
    rows: list[list[str]] = []
    runs: list[dict[str, Any]] = []
    python = await peer_python("requirements.lock", ground.say)
    await ground.warm(Load(1))
    for kind, distinct in _DISTINCT.items():
        await ground.anew(REQUEST_TOPICS)
        await ground.fresh_answers()
        async with Fleet(ground.settings(ground.name(f"latency-{kind}")), ground.folder) as fleet:
            (worker,) = await fleet.start(1)
            process = psutil.Process(worker.pid)
            for rate in rates:
                run = ground.name(f"{kind}-{rate}")
                load = Load(round(rate * (seconds + WARM_UP_S)), distinct, value_bytes=459, run=run)
                figures = await _open_loop(ground, python, load, rate, process)
                runs.append({"kind": kind, "rate": rate, **figures})
                rows += (made := _rows(kind, rate, figures))
                for row in made:
                    ground.say(" ".join(f"{cell:>8}" for cell in row))
    values = {"runs": runs, "seconds": seconds, "upstream_ms": UPSTREAM_MS, "machine": machine()}
    return Report(
        "Latency in ms, open loop",
        ["", "rate/s", "until", *QUANTILES, "lost", "cores"],
        rows,
        {**values, "versions": versions(), "broker": ground.broker.kind},
        notes=[
            "cores: CPU of the worker; lost: not answered 20 s after the last request",
            f"misses are answered by an upstream of {UPSTREAM_MS} ms; {LIMITS}",
        ],
    )


def _rows(kind: str, rate: int, figures: dict[str, Any]) -> list[list[str]]:
    """One by each clock."""
    ends = [str(figures["unanswered"]), f"{figures['worker_cores']:.2f}"]
    return [
        [kind, str(rate), clock, *(f"{figures[f'{clock}_ms'][name]:.1f}" for name in QUANTILES), *ends]
        for clock in ("answer", "reader")
    ]


async def _open_loop(ground: Ground, python: Path, load: Load, rate: int, worker: psutil.Process) -> dict[str, Any]:
    """One rate, by a process that does nothing else; with the CPU of the worker after the warm-up."""
    arguments = [ground.servers, str(rate), str(round(WARM_UP_S * rate)), orjson.dumps(asdict(load)).decode()]
    run = ground.run("ops.bench.open_loop", arguments, python)
    try:
        lasts_s = load.records / rate + _START_WITHIN_S
        await run.wait_for(WARM, lasts_s)
        cpu_s, warm_at = _cpu_s(worker), time.monotonic()
        await run.wait_for(SENT, lasts_s)
        cpu_s, lasted_s = _cpu_s(worker) - cpu_s, time.monotonic() - warm_at
        figures = await run.result(_REST_WITHIN_S)
    finally:
        await run.stop()
    return {**figures, "worker_cores": round(cpu_s / lasted_s, 3)}


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
