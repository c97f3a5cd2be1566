"""`headrace providers`: endpoints, their health, and taking one out of use."""

from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.console import FOUND_WRONG, cell, fail, load, print_json, settings_option

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.providers.stats import EndpointStats

_EXAMPLES = """
Examples:

    headrace providers check                                         does every endpoint answer, from here?

    headrace providers list --worker 127.0.0.1:9464                  what a running worker thinks of them

    headrace providers drain https://b.example.com/v1 --worker …     no new calls to it, from this worker

    headrace providers drain https://b.example.com/v1 --undo         calls again
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
def list_(worker: WorkerOption = None, as_json: JsonOption = False, settings: settings_option = None) -> None:
    """Show the endpoints as a running worker knows them: state, calls under way, last check. Exit 1 if one is not healthy."""
    from ops.admin.providers import look
    from ops.cli.running import run

    try:
        found = run(look(worker or load(settings).http.listen))
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
    endpoint: Annotated[str, typer.Argument(metavar="ENDPOINT", help="Its URL, as in the settings.")],
    undo: Annotated[bool, typer.Option("--undo", help="Give it calls again.")] = False,
    worker: WorkerOption = None,
    as_json: JsonOption = False,
    settings: settings_option = None,
) -> None:
    """Give an endpoint no new calls from one worker, until --undo or the worker's end. Calls under way go on."""
    from ops.admin.providers import drain as drain_one
    from ops.cli.running import run

    http = load(settings).http
    try:
        found = run(drain_one(worker or http.listen, endpoint, draining=not undo, token=http.token()))
    except OSError as error:
        fail(str(error))
    _show(found, as_json)


def _show(found: "list[EndpointStats]", as_json: bool) -> None:
    from ops.admin.tail import printable

    if as_json:
        print_json(found)
        return
    rows = (
        (
            each.provider,
            each.url,
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
            typer.echo(printable(f"{each.provider} {each.url}: set aside, {why}".encode(), 1000))


def _table(names: tuple[str, ...], rows: "Iterable[tuple[str, ...]]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*names, box=None)
    for row in rows:
        table.add_row(*map(cell, row))
    Console().print(table)
