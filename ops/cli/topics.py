"""`headrace topics`: make, list and compare the contract's topics."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops.cli.console import FOUND_WRONG, load, print_json, print_table, settings_option
from ops.cli.running import run

if TYPE_CHECKING:
    from streams.kafka.provision import Report, TopicState
    from topics.catalogue import TopicSpec

_HOW = "`headrace acls --role topics` prints what it takes, with --alters also what changing topics takes"

app = typer.Typer(help="Make, list and compare the contract's topics on a broker.", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


@app.command()
def apply(
    settings: settings_option = None,
    allow_repartition: Annotated[
        bool, typer.Option("--allow-repartition", help="Add partitions where there are too few; this moves keys.")
    ] = False,
    alter_configs: Annotated[
        bool, typer.Option("--alter-configs", help="Change topic settings that differ from the contract's.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Create what is missing, report what differs. Exit 1 if something still differs."""
    from streams.kafka import provision

    options, wanted = _target(settings)
    report = run(provision.apply(options, wanted, allow_repartition=allow_repartition, alter_configs=alter_configs))
    _finish(report, as_json=as_json, count=len(wanted))


@app.command()
def check(settings: settings_option = None, as_json: JsonOption = False) -> None:
    """Compare only: one line a difference, exit 1 if there is one."""
    from streams.kafka import provision

    options, wanted = _target(settings)
    _finish(run(provision.check(options, wanted)), as_json=as_json, count=len(wanted))


@app.command(name="list")
def list_topics(settings: settings_option = None, as_json: JsonOption = False) -> None:
    """Show the contract's topics and what the broker has of them."""
    from streams.kafka import provision

    options, wanted = _target(settings)
    states = run(provision.listing(options, wanted))
    rows = [
        {
            "topic": state.spec.name,
            "key": state.spec.key,
            "partitions": state.spec.partitions,
            "partitions_found": state.found.partitions if state.found else 0,
            "replication_factor": state.spec.replication_factor,
            "replication_factor_found": state.found.replication_factor if state.found else 0,
            "config": dict(state.spec.config),
            "state": _state(state),
            "denied": state.denied,
        }
        for state in states
    ]
    if as_json:
        print_json({"topics": rows})
        return
    _print_table(rows)


def _state(state: "TopicState") -> str:
    kinds = {difference.kind for difference in state.differences}
    return next(
        (kind for kind in ("missing", "denied") if kind in kinds),
        "differs" if kinds else "ok" if not state.denied else "denied",
    )


def _target(settings_file: Path | None) -> "tuple[dict[str, Any], tuple[TopicSpec, ...]]":
    settings = load(settings_file)
    return settings.kafka.client_options(), settings.catalogue()


def _finish(report: "Report", *, as_json: bool, count: int) -> None:
    if as_json:
        print_json(report)
    else:
        for line in (*report.done, *report.differences, *report.denied):
            typer.echo(line)
        for note in report.notes:
            typer.echo(f"note: {note}")
        if report.denied or any(each.kind == "denied" for each in report.differences):
            typer.echo(f"note: {_HOW}")
        if not report.differences and not report.denied:
            typer.echo(f"{count} topics are as the contract wants them")
    if report.differences or report.denied:
        raise typer.Exit(FOUND_WRONG)


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD)
    table.add_column("topic", no_wrap=True)
    for heading in ("key", "partitions", "replicas", "kept", "state"):
        table.add_column(heading)
    for row in rows:
        config = row["config"]
        days = int(config["retention.ms"]) // 86_400_000
        table.add_row(
            row["topic"],
            row["key"],
            _beside(row["partitions"], row["partitions_found"]),
            _beside(row["replication_factor"], row["replication_factor_found"]),
            f"{days} d" + (", compact" if "compact" in config["cleanup.policy"] else ""),
            row["state"],
        )
    print_table(table)


def _beside(wanted: int, found: int) -> str:
    return str(wanted) if wanted == found else f"{found} of {wanted}"
