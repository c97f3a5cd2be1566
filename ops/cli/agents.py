"""`headrace agents`: which agents use a worker most."""

from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.console import cell, fail, load, print_json, print_table, settings_option

if TYPE_CHECKING:
    from rich.table import Table

    from streams.flow.stats import FlowStats

app = typer.Typer(help="See which agents use a worker most.", no_args_is_help=True)

_EXAMPLES = """
Examples:

    headrace agents top                                   the whole fleet, again every 2 s

    headrace agents top --worker 127.0.0.1:40123          one worker: its log line `ready` names its address

    headrace agents top --once --most 5                   one look

    headrace agents top --json | jq '.agents[].agent_id'  for programs
"""


@app.callback()
def group() -> None:
    """See which agents use a worker most."""


@app.command(epilog=_EXAMPLES)
def top(
    worker: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="One worker's HTTP address; else the whole fleet.", show_default=False),
    ] = None,
    most: Annotated[int, typer.Option(min=1, max=200, help="Agents to show.")] = 20,
    every: Annotated[str, typer.Option(metavar="DURATION", help="Time between looks.")] = "2s",
    once: Annotated[bool, typer.Option("--once", help="Look once and end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Look once and print JSON.")] = False,
    settings: settings_option = None,
) -> None:
    """Show the agents with the largest share of a worker's call time, what they have waiting, and who waits behind the others."""
    import asyncio

    from rich.console import Console
    from rich.live import Live

    from ops.admin.agents import look, together
    from ops.admin.whole_fleet import ask_fleet
    from ops.cli.running import run, seconds

    pause_s = max(0.1, seconds("--every", every))
    loaded = load(settings)

    async def now() -> "tuple[FlowStats, str]":
        if worker is not None:
            return await look(worker), worker
        asked = await ask_fleet(loaded, look)
        told = [each.said for each in asked if each.said is not None]
        if not told:
            raise OSError(f"none of {len(asked)} workers can be asked from here: {asked[0].problem}")
        return together(told), f"{len(told)} of {len(asked)} workers"

    async def watch() -> None:
        with Live(_table(*await now(), most), console=Console(), auto_refresh=False) as live:
            while True:
                await asyncio.sleep(pause_s)
                live.update(_table(*await now(), most), refresh=True)

    try:
        if as_json:
            print_json(_cut(run(now())[0], most))
        elif once or not Console().is_terminal:
            print_table(_table(*run(now()), most))
        else:
            run(watch())
    except OSError as error:
        fail(str(error))


def _cut(stats: "FlowStats", most: int) -> "FlowStats":
    from dataclasses import replace

    return replace(stats, agents=stats.agents[:most])


def _table(stats: "FlowStats", address: str, most: int) -> "Table":
    from rich.table import Table

    stats = _cut(stats, most)
    waiting = ", ".join(f"{count:,} {priority}" for priority, count in stats.waiting.items())
    table = Table(
        title=f"{address}: {stats.in_flight:,} calls of {stats.dispatchers} dispatchers; "
        f"waiting {waiting}, the oldest {stats.oldest_wait_s:,.1f} s",
        title_justify="left",
        caption_justify="left",
        caption=f"{len(stats.agents)} of {stats.agents_known:,} agents of the last half minute",
    )
    table.add_column("agent", overflow="fold")
    for name in ("call time", "in flight", "waiting", "MB"):
        table.add_column(name, justify="right")
    table.add_column("")
    for agent in stats.agents:
        table.add_row(
            cell(agent.agent_id),
            f"{agent.busy_share:.1%}",
            f"{agent.in_flight:,}",
            f"{agent.waiting:,}",
            f"{agent.bytes / 1e6:,.2f}",
            "behind the others" if agent.behind else "",
        )
    return table
