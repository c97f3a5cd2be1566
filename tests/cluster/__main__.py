"""`python -m tests.cluster`: random schedules of faults on three brokers, a line each; exit code 1 where a promise is broken."""

import argparse
import asyncio
import logging
import sys
import tempfile
from pathlib import Path

from ops.lab.run import RATE_PER_S
from ops.lab.schedule import KIND, make_schedule
from ops.lab.session import SessionOptions, run_session


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the first schedule")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="so many schedules, seed, seed + 1, …")
    parser.add_argument("--seconds", type=float, default=90, help="of load in each")
    parser.add_argument("--rate", type=float, default=RATE_PER_S, help="requests a second")
    parser.add_argument("--only", help="places of the faults to keep, 0,3,4; none for a run without faults")
    parser.add_argument("--kinds", help=f"kinds to draw from: {', '.join(KIND)}")
    parser.add_argument("--shrink", type=int, default=6, metavar="RUNS", help="runs to make a failing schedule smaller")
    parser.add_argument("--report", type=Path, help="folder for report.json and the logs; else a new temporary one")
    parser.add_argument("--list", action="store_true", help="print the faults and run nothing")
    parser.add_argument("-v", "--verbose", action="store_true", help="say each fault as it happens")
    given = parser.parse_args()
    kinds = given.kinds.split(",") if given.kinds else None
    schedules = [make_schedule(given.seed + number, given.seconds, kinds=kinds) for number in range(given.seeds)]
    if given.only is not None:
        places = [] if given.only == "none" else [int(place) for place in given.only.split(",")]
        schedules = [schedule.keep(places) for schedule in schedules]
    if given.list:
        for schedule in schedules:
            print("\n  ".join([schedule.command(), *map(str, schedule.faults)]))
        return 0
    folder = given.report or Path(tempfile.mkdtemp(prefix="headrace-lab-"))
    for library in ("aiokafka", "asyncio"):
        logging.getLogger(library).addHandler(logging.NullHandler())  # brokers that fail are what this is about
    options = SessionOptions(folder, given.rate, given.shrink if given.only is None else 0, given.verbose)
    outcomes, not_run = asyncio.run(run_session(schedules, options, lambda line: print(line, flush=True)))
    broken = sum(not outcome.held for outcome in outcomes)
    print(f"{len(outcomes)} schedules, {broken} broken, {len(not_run)} not run; figures and logs in {folder}")
    return 1 if broken or not_run else 0


if __name__ == "__main__":
    sys.exit(main())
