"""`headrace demo`: everything at once, on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.console import FOUND_WRONG, BrokerOption, settings_option

if TYPE_CHECKING:
    from ops.load.report import LoadResult

app = typer.Typer(help="Replay a real trace through workers on this machine.")

_EXAMPLES = """
Examples:

    headrace demo

    headrace demo --seconds 20 --rate 50 --workers 3 --broker apache

    headrace demo --front --seconds 600           http://127.0.0.1:4000/v1 for your own client meanwhile

    headrace demo --ui                            http://127.0.0.1:4001 shows every request as it flows

    headrace demo --broker 127.0.0.1:9092 --json result.json

Exit code 1 if a request was lost, 2 if it cannot start. Ctrl-C ends everything that it started and prints what was done.
"""


@app.command(epilog=_EXAMPLES)
def demo(
    seconds: Annotated[float, typer.Option(min=1, max=3600, help="How long requests are sent.")] = 60,
    workers: Annotated[int, typer.Option(min=1, max=10, help="How many workers.")] = 2,
    broker: BrokerOption = None,
    rate: Annotated[float, typer.Option(min=0.1, max=1000, help="Requests a second, on average.")] = 25,
    kill: Annotated[
        bool, typer.Option("--kill/--no-kill", help="Kill a worker with -9 halfway, and add one (from 15 s on).")
    ] = True,
    front: Annotated[bool, typer.Option("--front", help="Also a front, on front.listen, for your own client.")] = False,
    ui: Annotated[
        bool, typer.Option("--ui", help="Also the control room, on ui.listen; it stays open until Enter.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the result as flat JSON; - for stdout.")
    ] = None,
    settings: settings_option = None,
) -> None:
    """Start a broker (or use yours), a simulated provider and workers; replay the Azure conversation trace; sum up."""
    from rich.console import Console

    from ops.cli.result import Reporter
    from ops.cli.running import run
    from ops.demo import DemoOptions, run_demo
    from streams.settings import load_effective

    effective = load_effective(settings)
    reporter = Reporter(json_file)
    console: Console = reporter.console
    run(run_demo(effective, DemoOptions(seconds, workers, broker, rate, front, kill, ui), console, reporter))
    result: LoadResult | None = reporter.result
    if result is None or result.summary.lost:
        raise typer.Exit(FOUND_WRONG)
