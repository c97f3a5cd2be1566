"""A soak: one long schedule, with faults or without, and its report whatever ends it."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ops.lab.report import write_report
from ops.lab.run import RATE_PER_S, Outcome, Say, run_schedule
from ops.lab.schedule import Schedule, make_schedule

_CALM: Final = 1.5
"""Longer pauses than in short schedules: most of an hour is to show how it runs, not how it falls."""


@dataclass(frozen=True, slots=True)
class SoakOptions:
    """What was asked for."""

    seconds: float
    seed: int
    folder: Path
    """Gets `report.html`, `report.json` and the logs."""
    faults: bool = True
    rate_per_s: float = RATE_PER_S


def soak_schedule(options: SoakOptions) -> Schedule:
    """The faults of a soak; the first worker and control are never ended, so that their memory can be followed."""
    schedule = make_schedule(options.seed, options.seconds, calm=_CALM, spare_first=True)
    return schedule if options.faults else schedule.keep(())


async def run_soak(options: SoakOptions, say: Say) -> Outcome:
    """Run it, and write the report. SIGINT and SIGTERM end the load early; what was sent is waited for and reported.

    Raises BrokerError, ProvisionError, WorkerError and RuntimeError where it cannot be stood up.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    options.folder.mkdir(parents=True, exist_ok=True)
    logs = Path(
        tempfile.mkdtemp(prefix="logs-", dir=options.folder)
    )  # books and logs of an earlier run are not this one's
    outcome = await run_schedule(soak_schedule(options), logs, rate_per_s=options.rate_per_s, say=say, stop=stop)
    page, data = write_report(outcome, options.folder)
    say(f"report: {page} and {data}")
    return outcome
