"""Several schedules one after the other, as `make test-cluster` runs them; a failing one is shrunk and printed."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from ops.brokers import BrokerError
from ops.lab.figures import as_json, one_line
from ops.lab.run import RATE_PER_S, Outcome, Say, run_schedule
from ops.lab.schedule import Schedule
from ops.lab.shrink import shrink
from ops.processes.fleet import WorkerError
from streams.kafka.provision import ProvisionError

_MOST_BESIDES_S: Final = 600.0
"""For the start, for waiting and for the end: more is a lab that hangs."""


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How a session runs. `shrink_runs`: how often a failing schedule is run again to make it smaller, 0 for never."""

    folder: Path
    rate_per_s: float = RATE_PER_S
    shrink_runs: int = 6
    verbose: bool = False


async def run_session(
    schedules: Iterable[Schedule], options: SessionOptions, say: Say
) -> tuple[list[Outcome], list[int]]:
    """Run all, say a line of each, and write `report.json` after each.

    The outcomes, without those of shrinking, and the seeds of the schedules that could not be run.
    """
    outcomes: list[Outcome] = []
    not_run: list[int] = []
    smaller: dict[int, str] = {}
    options.folder.mkdir(parents=True, exist_ok=True)
    for schedule in schedules:
        try:
            async with asyncio.timeout(schedule.seconds + _MOST_BESIDES_S):
                outcome = await _run(schedule, options, say)
        except (BrokerError, ProvisionError, WorkerError, RuntimeError, TimeoutError) as error:
            say(f"seed {schedule.seed}: DID NOT RUN: {error or type(error).__name__}")
            not_run.append(schedule.seed)
            continue
        outcomes.append(outcome)
        say(one_line(outcome))
        if not outcome.held:
            for violation in outcome.verdict.violations[:10]:
                say(f"  {violation}")
            for fault in schedule.faults:
                say(f"  {fault}")
            say(f"  again: {schedule.command()}")
            if options.shrink_runs:
                least = await _smallest(outcome, options, say)
                smaller[schedule.seed] = least.command()
                say(f"  smallest that failed: {least.command()}")
        report = [as_json(each) | {"smallest": smaller.get(each.schedule.seed)} for each in outcomes]
        (options.folder / "report.json").write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    return outcomes, not_run


async def _run(schedule: Schedule, options: SessionOptions, say: Say) -> Outcome:
    folder = Path(tempfile.mkdtemp(prefix=f"seed-{schedule.seed}-", dir=options.folder))
    return await run_schedule(
        schedule, folder, rate_per_s=options.rate_per_s, say=say if options.verbose else lambda line: None
    )


async def _smallest(failed: Outcome, options: SessionOptions, say: Say) -> Schedule:
    """The smallest part found that breaks a promise of the same kind."""
    kinds = {violation.kind for violation in failed.verdict.violations}

    async def fails(places: tuple[int, ...]) -> bool:
        tried = failed.schedule.keep(places)
        outcome = await _run(tried, options, say)
        again = kinds & {violation.kind for violation in outcome.verdict.violations}
        say(f"  with {len(places)} of its faults it {'fails' if again else 'passes'}")
        return bool(again)

    return failed.schedule.keep(await shrink(failed.schedule.places(), fails, options.shrink_runs))
