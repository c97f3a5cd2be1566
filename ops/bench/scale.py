"""What grows with what: rate with workers; CPU a record with the topic, the agents and the payload."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from statistics import median
from typing import Any, Final

from ops.bench.figures import Report
from ops.bench.ground import LIMITS, WORKER, Ground
from ops.bench.machine import machine, versions
from ops.bench.work import Load

WORKERS: Final = (1, 2, 4)
_SIZES: Final = (1, 5)
_AGENTS: Final = (10, 100, 1_000, 10_000, 100_000)
_VALUE_BYTES: Final = (459, 4_096, 16_384, 65_536)
_MOST_BYTES: Final = 500_000_000  # of one fill
_SETTLE_S: Final = 3.0
_WITHIN_S: Final = 300.0


async def measure(ground: Ground, records: int, rounds: int) -> Report:
    """Medians of so many rounds each."""
    rows: list[dict[str, Any]] = []
    await ground.warm(Load(records))
    await ground.filled(Load(records))
    for workers in WORKERS:
        runs = [await _together(ground, workers, records) for _ in range(rounds)]
        _note(ground, rows, "workers", workers, records, runs)
    for factor in _SIZES:
        await _alone(ground, rows, "topic", factor * records, Load(factor * records), rounds)
    for agents in _AGENTS:
        await _alone(ground, rows, "agents", agents, Load(records, agents=agents), rounds)
    for size in _VALUE_BYTES:
        load = Load(min(records, _MOST_BYTES // size), value_bytes=size)
        await ground.warm(load)
        await _alone(ground, rows, "value bytes", size, load, rounds)
    return Report(
        "Scale, hits",
        ["what", "value", "records", "records/s", "CPU us a record"],
        [[r["what"], f"{r['value']:,}", f"{r['records']:,}", f"{r['rate']:,.0f}", f"{r['cpu_us']:.2f}"] for r in rows],
        {"rows": rows, "rounds": rounds, "machine": machine(), "versions": versions()},
        notes=[LIMITS, "workers share two cores with the broker where the machine has no more"],
    )


async def _alone(ground: Ground, rows: list[dict[str, Any]], what: str, value: int, load: Load, rounds: int) -> None:
    await ground.filled(load)
    runs = []
    for _ in range(rounds):
        await ground.fresh_answers()
        runs.append(await ground.run_worker(load.records).result(_WITHIN_S))
    _note(ground, rows, what, value, load.records, runs)


async def _together(ground: Ground, workers: int, records: int) -> dict[str, Any]:
    """Workers of one group that begin at the same moment; the rate is of all, the CPU the mean of a record."""
    await ground.fresh_answers()
    group = ground.name("together")
    settings = ground.settings(group)
    runs = [ground.run(WORKER, [str(settings), "0", "--gate"]) for _ in range(workers)]
    try:
        await asyncio.gather(*(run.wait_for('"event":"ready"', 60) for run in runs))
        await asyncio.sleep(_SETTLE_S)  # until the last one's join has been worked off by the others
        for run in runs:
            run.child.send_signal(signal.SIGUSR1)
        await ground.wait_committed(group, _WITHIN_S)
        for run in runs:
            run.child.send_signal(signal.SIGTERM)
        figures = [await run.result(60) for run in runs]
    finally:
        await asyncio.gather(*(run.stop() for run in runs))
    took = [each for each in figures if each["records"]]
    lasted_s = max(each["ended_at"] for each in took) - min(each["began_at"] for each in took)
    cpu_us = sum(each["cpu_us"] * each["records"] for each in took) / sum(each["records"] for each in took)
    return {"rate": records / lasted_s, "cpu_us": cpu_us, "shares": [each["records"] for each in figures]}


def _note(
    ground: Ground, rows: list[dict[str, Any]], what: str, value: int, records: int, runs: Sequence[dict[str, Any]]
) -> None:
    row = {"what": what, "value": value, "records": records, "runs": runs}
    row |= {name: median(run[name] for run in runs) for name in ("rate", "cpu_us")}
    rows.append(row)
    ground.say(f"{what} {value:,}: {row['rate']:,.0f}/s, {row['cpu_us']:.2f} us of CPU a record")
