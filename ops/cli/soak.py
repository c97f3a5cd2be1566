"""`headrace soak`: hours under load, with faults, and a report."""

from pathlib import Path
from typing import Annotated

import typer

from ops.cli.console import FOUND_WRONG, fail, load, settings_option

app = typer.Typer(help="Run a fleet for hours while its cluster breaks; see whether the promise holds.")

_EXAMPLES = """
Examples:

    headrace soak --hours 1

    headrace soak --hours 0.05 --seed 7 --report ./soak

    headrace soak --hours 8 --no-faults --rate 100

Three Apache brokers, two workers, control and two simulated providers, all on this machine and ended with it. Exit code 1 if a
promise was broken, 2 if it cannot start. Ctrl-C ends the load early and still writes the report.
"""


@app.command(epilog=_EXAMPLES)
def soak(
    hours: Annotated[float, typer.Option(min=0.005, max=1000, help="How long requests are sent.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the faults and the load.")] = 1,
    rate: Annotated[float, typer.Option(min=1, max=1000, help="Requests a second.")] = 25,
    faults: Annotated[bool, typer.Option(help="Whether anything is broken.")] = True,
    report: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where report.html and report.json go; else a new temporary folder."),
    ] = None,
    settings: settings_option = None,
) -> None:
    """Send requests for hours while brokers, networks, workers and providers fail, and check every answer and every call."""
    import asyncio
    import logging
    import tempfile

    from ops.lab.figures import one_line
    from ops.lab.report import bars
    from ops.lab.soak import SoakOptions, run_soak

    load(settings)  # a soak has settings of its own; checked, so that one --settings does for every command
    for library in ("aiokafka", "asyncio"):
        logging.getLogger(library).addHandler(logging.NullHandler())  # brokers that fail are what this is about
    folder = report or Path(tempfile.mkdtemp(prefix="headrace-soak-"))
    options = SoakOptions(hours * 3600, seed, folder, faults, rate)
    try:
        outcome = asyncio.run(run_soak(options, lambda line: print(line, flush=True)))
    except RuntimeError as error:
        fail(str(error))
    print(one_line(outcome))
    for name, seen, reached in bars(outcome):
        print(f"  {'reached' if reached else 'MISSED '}  {name}: {seen}")
    for violation in outcome.verdict.violations[:20]:
        print(f"  {violation}")
    if not outcome.held:
        raise typer.Exit(FOUND_WRONG)
