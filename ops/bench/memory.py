"""Resident memory of a worker over a long run of hits, tenth by tenth."""

from __future__ import annotations

import asyncio
import time
from statistics import median
from typing import Any, Final

import psutil

from ops.bench.figures import Report
from ops.bench.fill import fill
from ops.bench.ground import Ground
from ops.bench.machine import machine, versions
from ops.bench.work import REQUEST_TOPICS, Load
from ops.processes.fleet import Fleet

_TENTHS: Final = 10
_SAMPLE_S: Final = 0.25
_TENTH_WITHIN_S: Final = 900.0
MB: Final = 1_000_000


async def measure(ground: Ground, records: int) -> Report:
    """Fill a tenth, wait until it is committed, and so on; the worker is sampled all the time."""
    each = Load(records // _TENTHS)
    await ground.warm(each)
    await ground.anew(REQUEST_TOPICS)
    await ground.fresh_answers()
    group = ground.name("memory")
    tenths: list[dict[str, Any]] = []
    async with Fleet(ground.settings(group), ground.folder) as fleet:
        (worker,) = await fleet.start(1)
        process = psutil.Process(worker.pid)
        for tenth in range(_TENTHS):
            began, samples = time.monotonic(), [process.memory_info().rss]
            sampling = asyncio.create_task(_sample(process, samples))
            await fill(ground.servers, each, start=tenth * each.records)
            await ground.wait_committed(group, _TENTH_WITHIN_S)
            sampling.cancel()
            rate = each.records / (time.monotonic() - began)
            tenths.append({"median_mb": median(samples) / MB, "max_mb": max(samples) / MB, "rate": round(rate)})
            ground.say(f"tenth {tenth + 1}: {tenths[-1]['median_mb']:.1f} MB, at most {tenths[-1]['max_mb']:.1f} MB")
    growth = tenths[-1]["median_mb"] / tenths[1]["median_mb"] - 1
    rows = [[str(n + 1), f"{t['median_mb']:.1f}", f"{t['max_mb']:.1f}", f"{t['rate']:,}"] for n, t in enumerate(tenths)]
    values = {"records": records, "tenths": tenths, "growth": round(growth, 4)}
    return Report(
        f"Memory of a worker over {records:,} records",
        ["tenth", "median MB", "max MB", "records/s, filling included"],
        rows,
        {**values, "machine": machine(), "versions": versions()},
        notes=[f"last tenth against the second: {growth:+.1%}"],
    )


async def _sample(process: psutil.Process, samples: list[int]) -> None:
    while True:
        await asyncio.sleep(_SAMPLE_S)
        samples.append(process.memory_info().rss)
