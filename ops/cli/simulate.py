"""`headrace simulate`: what the pipeline would do, on a virtual clock."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.console import fail, load, print_json, print_table, settings_option
from topics.names import PRIORITIES, Priority

if TYPE_CHECKING:
    from rich.table import Table

    from ops.simulation.report import Figures, Result

app = typer.Typer(help="See what flow would do with a load, on a virtual clock.", no_args_is_help=True)

_EXAMPLES = """
Examples:

    headrace simulate flow                                   the shipped trace at twice the capacity

    headrace simulate flow --overload 1 --overload 20        and at the limits of it

    headrace simulate flow --noisy 50 --plot waits.svg       one agent sends half of everything

    headrace simulate flow --trace mine.csv --slots 100 --settings headrace.toml --json
"""


@app.callback()
def group() -> None:
    """See what flow would do with a load, on a virtual clock."""


@app.command(epilog=_EXAMPLES)
def flow(
    trace: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TIMESTAMP,ContextTokens,GeneratedTokens; else the shipped one.")
    ] = None,
    overload: Annotated[
        list[float] | None,
        typer.Option(min=0.01, max=100, help="Load, in times of what the slots can take. Repeatable; 2 by default."),
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, max=3600, help="How long requests come.")] = 60.0,
    agents: Annotated[int, typer.Option(min=1, max=100_000, help="Agents that send.")] = 100,
    slots: Annotated[
        int | None, typer.Option(min=1, help="Calls at a time at the provider; concurrency.per_host by default.")
    ] = None,
    mix: Annotated[str, typer.Option(metavar="HIGH/NORMAL/LOW", help="Percent of each class.")] = "10/30/60",
    noisy: Annotated[float, typer.Option(min=0, max=99, help="Percent of all requests that one agent sends.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of agents and classes.")] = 0,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.svg", help="Draw waits by class and agent here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    settings: settings_option = None,
) -> None:
    """Play a trace through the scheduler and dispatch of the settings, with calls that only take time on paper.

    With several --overload the plot is of the last one. A call takes 0.2 s and 5 ms a generated token.
    """
    from ops.load.trace import SHIPPED_TRACE, read_trace
    from ops.processes.logs import configure
    from ops.simulation.report import result_of, wait_plot
    from ops.simulation.run import simulate
    from ops.simulation.trace_load import Load, load_of
    from streams.flow.build import flow_rules

    if plot is not None and (plot.suffix != ".svg" or not plot.absolute().parent.is_dir()):
        fail(f"--plot {plot}: the name must end in .svg, in a folder that is there")
    configure("error")  # what flow would log of such a load is what the report tells
    loaded = load(settings)
    rules, waits = flow_rules(loaded), loaded.queueing.timeout
    shares = _mix(mix)
    host_slots = slots or loaded.concurrency.per_host
    path = trace or SHIPPED_TRACE
    rows = read_trace(path)
    if len(rows) < 2:
        fail(f"{path}: a trace of {len(rows)} requests has no rate")
    results = []
    drawn = ""
    for times in overload or [2.0]:
        play = Load(times, seconds, agents, host_slots, shares, noisy_share=noisy / 100, seed=seed)
        try:
            played = load_of(rows, play)
        except ValueError as error:
            fail(str(error))
        run = simulate(
            played.requests,
            rules,
            {"high": waits.high, "normal": waits.normal, "low": waits.low},
            host_slots=host_slots,
        )
        results.append(result_of(run, times, played.capacity_per_s, played.seconds, most_agents=5))
        if not as_json:
            print_table(_table(results[-1]))  # at once: whoever pipes it into `head` need not wait for the others
        if plot is not None:
            note = f"{path.name}, {agents} agents, {host_slots} slots for {played.capacity_per_s:.1f} requests/s"
            drawn = wait_plot(run, f"Flow at {times:g} times its capacity", note)
    if plot is not None:
        plot.write_text(drawn)
    if as_json:
        print_json({"results": results})
        return
    if plot is not None:
        print(f"drawn: {plot}")


def _mix(given: str) -> "dict[Priority, float]":
    parts = given.split("/")
    if len(parts) != 3 or not all(part.isdigit() for part in parts) or sum(map(int, parts)) != 100:
        fail(f"--mix {given}: three whole percentages that make 100, such as 10/30/60")
    return {priority: int(part) / 100 for priority, part in zip(PRIORITIES, parts, strict=True)}


def _table(result: "Result") -> "Table":
    from rich.table import Table

    table = Table(
        title=f"{result.overload:g} times the capacity: {result.offered_per_s:,.1f} requests/s for {result.seconds:,.0f} s",
        caption=f"capacity {result.capacity_per_s:,.1f}/s; waits of those called; "
        f"at most {result.most_in_flight} calls, {result.most_dispatchers} dispatchers",
    )
    table.add_column("")
    for name in ("sent", "called", "a second", "expired", "refused", "p50 s", "p95 s", "max s"):
        table.add_column(name, justify="right")
    for name, figures in (*result.classes.items(), *result.agents.items()):
        table.add_row(name, *_cells(figures), end_section=name == list(result.classes)[-1])
    return table


def _cells(figures: "Figures") -> list[str]:
    return [
        f"{figures.requests:,}",
        f"{figures.called:,}",
        f"{figures.called_per_s:,.1f}",
        f"{figures.expired:,}",
        f"{figures.refused:,}",
        f"{figures.wait_p50_s:,.2f}",
        f"{figures.wait_p95_s:,.2f}",
        f"{figures.wait_max_s:,.2f}",
    ]
