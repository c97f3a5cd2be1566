"""`headrace providers`: endpoints, their health, and taking one out of use."""

from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.console import FOUND_WRONG, cell, fail, load, print_json, print_table, say, settings_option
from ops.cli.pause import DryRunOption, ReasonOption, WithinOption, carry_out

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ops.admin.providers import FleetEndpoint
    from streams.providers.stats import EndpointStats
    from streams.settings import Settings

_EXAMPLES = """
Examples:

    headrace providers check                                         does every endpoint answer, from here?

    headrace providers list                                          what the whole fleet thinks of them

    headrace providers list --worker 127.0.0.1:9464                  what one worker does

    headrace providers drain https://b.example.com/v1 --dry-run      how many calls are under way to it

    headrace providers drain https://b.example.com/v1                no new calls to it, from the whole fleet

    headrace providers undrain https://b.example.com/v1              calls again

    headrace providers drain https://b.example.com/v1 --worker …     no new calls to it, from this worker, until its end
"""

app = typer.Typer(help="List, check and drain the endpoints of providers.", no_args_is_help=True, epilog=_EXAMPLES)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
WorkerOption = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="A worker's HTTP address; else http.listen of the settings.")
]


@app.callback()
def group() -> None:
    """List, check and drain the endpoints of providers."""


@app.command("list", epilog=_EXAMPLES)
def list_(
    worker: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="One worker's HTTP address; else all that send samples.", show_default=False
        ),
    ] = None,
    as_json: JsonOption = False,
    settings: settings_option = None,
) -> None:
    """Show the endpoints as running workers know them: state, calls under way, last check. Exit 1 if one is not healthy."""
    from ops.admin.providers import look, together
    from ops.admin.whole_fleet import ask_fleet
    from ops.cli.running import run

    found: Sequence[EndpointStats | FleetEndpoint]
    try:
        if worker is not None:
            found = run(look(worker))
        else:
            asked = run(ask_fleet(load(settings), look))
            told = [each.said for each in asked if each.said is not None]
            if not told:
                fail(f"none of {len(asked)} workers can be asked from here: {asked[0].problem}")
            found = together(told)
    except OSError as error:
        fail(str(error))
    _show(found, as_json)
    if any(each.state != "healthy" for each in found):
        raise typer.Exit(FOUND_WRONG)


@app.command(epilog=_EXAMPLES)
def check(as_json: JsonOption = False, settings: settings_option = None) -> None:
    """Ask every endpoint of the settings whether it lives, from here, with its key. Exit 1 if one does not."""
    from ops.admin.providers import check as check_all
    from ops.cli.running import run

    loaded = load(settings)
    loaded.ensure_provider()
    found = run(check_all(loaded))
    if as_json:
        print_json(found)
    else:
        rows = (
            (each.provider, each.url, each.error or f"status {each.status}", f"{each.took_ms:.0f} ms") for each in found
        )
        _table(("provider", "endpoint", "found", "took"), rows)
    if any(not each.well or each.status in (401, 403) for each in found):
        raise typer.Exit(FOUND_WRONG)


@app.command(epilog=_EXAMPLES)
def drain(
    endpoint: Annotated[str, typer.Argument(metavar="ENDPOINT", help="Its name or its URL, as in the settings.")],
    undo: Annotated[bool, typer.Option("--undo", help="Give it calls again, as undrain does.")] = False,
    worker: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="This worker alone, until its end; else the whole fleet.", show_default=False
        ),
    ] = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    within: WithinOption = "5s",
    as_json: JsonOption = False,
    settings: settings_option = None,
) -> None:
    """Give an endpoint no new calls in the whole fleet, until undrain, also over restarts. Calls under way go on."""
    from ops.admin.providers import drain as drain_one
    from ops.cli.running import run

    loaded = load(settings)
    if worker is None:
        touches = _calls_to(loaded, endpoint, dry_run=dry_run, as_json=as_json)
        if not dry_run:
            action = "undrain" if undo else "drain"
            carry_out(loaded, action, within, as_json, endpoint=endpoint, reason=reason, touches=touches)
        return
    http = loaded.http
    try:
        found = run(drain_one(worker or http.listen, endpoint, draining=not undo, token=http.token()))
    except OSError as error:
        fail(str(error))
    _show(found, as_json)


@app.command(epilog=_EXAMPLES)
def undrain(
    endpoint: Annotated[str, typer.Argument(metavar="ENDPOINT", help="Its name or its URL, as in the settings.")],
    reason: ReasonOption = None,
    within: WithinOption = "5s",
    as_json: JsonOption = False,
    settings: settings_option = None,
) -> None:
    """Give an endpoint calls again, in the whole fleet."""
    carry_out(load(settings), "undrain", within, as_json, endpoint=endpoint, reason=reason)


def _calls_to(settings: "Settings", endpoint: str, *, dry_run: bool, as_json: bool) -> int:
    """Calls that are under way to an endpoint, as those workers say that can be reached from here."""
    from ops.admin.providers import calls_to
    from ops.cli.running import run

    calls, asked = run(calls_to(settings, endpoint))
    if dry_run and as_json:
        print_json({"dry_run": True, "touches": calls, "workers_asked": asked})
    elif not as_json:
        say(f"{calls} calls are under way to it, from {asked} workers that could be asked", flush=True)
    return calls


def _show(found: "Sequence[EndpointStats | FleetEndpoint]", as_json: bool) -> None:
    from ops.admin.tail import printable

    if as_json:
        print_json(found)
        return
    rows = (
        (
            each.provider,
            each.name or each.url,
            each.state,
            str(each.weight),
            str(each.in_flight),
            str(each.free),
            "not yet" if each.last_check is None else f"{each.last_check}, {each.last_check_ms:.0f} ms",
        )
        for each in found
    )
    _table(("provider", "endpoint", "state", "weight", "calls", "free", "last check"), rows)
    for each in found:
        for why in each.set_aside:
            typer.echo(printable(f"{each.provider} {each.name or each.url}: set aside, {why}".encode(), 1000))


def _table(names: tuple[str, ...], rows: "Iterable[tuple[str, ...]]") -> None:
    from rich.table import Table

    table = Table(box=None)
    for name in names:
        table.add_column(name, overflow="fold", no_wrap=name != "endpoint" and name != "last check")
    for row in rows:
        table.add_row(*map(cell, row))
    print_table(table)
