"""`headrace topics`: make, list and compare the contract's topics."""

import asyncio
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from topics.catalogue import TopicSpec
    from topics.provision import Report

app = typer.Typer(help="Make, list and compare the contract's topics on a broker.", no_args_is_help=True)

SettingsOption = Annotated[Path | None, typer.Option("--settings", help="Settings file (headrace.toml).")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]

Result = TypeVar("Result")


@app.command()
def apply(
    settings: SettingsOption = None,
    allow_repartition: Annotated[
        bool, typer.Option("--allow-repartition", help="Add partitions where there are too few; this moves keys.")
    ] = False,
    alter_configs: Annotated[
        bool, typer.Option("--alter-configs", help="Change topic settings that differ from the contract's.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Create what is missing, report what differs. Exit 1 if something still differs."""
    from topics import provision

    options, wanted = _target(settings)
    report = _run(provision.apply(options, wanted, allow_repartition=allow_repartition, alter_configs=alter_configs))
    _finish(report, as_json=as_json, count=len(wanted))


@app.command()
def check(settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """Compare only: one line a difference, exit 1 if there is one."""
    from topics import provision

    options, wanted = _target(settings)
    _finish(_run(provision.check(options, wanted)), as_json=as_json, count=len(wanted))


@app.command(name="list")
def list_topics(settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """Show the contract's topics and what the broker has of them."""
    from topics import provision

    options, wanted = _target(settings)
    states = _run(provision.listing(options, wanted))
    rows = [
        {
            "topic": state.spec.name,
            "key": state.spec.key,
            "partitions": state.spec.partitions,
            "partitions_found": state.found.partitions if state.found else 0,
            "replication_factor": state.spec.replication_factor,
            "replication_factor_found": state.found.replication_factor if state.found else 0,
            "config": dict(state.spec.config),
            "state": "missing" if state.found is None else "differs" if state.differences else "ok",
        }
        for state in states
    ]
    if as_json:
        typer.echo(json.dumps({"topics": rows}))
        return
    _print_table(rows)


def _target(settings_file: Path | None) -> "tuple[dict[str, Any], tuple[TopicSpec, ...]]":
    from streams.settings import load_settings
    from topics.catalogue import catalogue

    settings = load_settings(settings_file)
    wanted = catalogue(settings.topics.partitions, settings.topics.replication_factor)
    return settings.kafka.client_options(), wanted


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    from ops.cli.console import fail
    from topics.provision import ProvisionError

    try:
        return asyncio.run(work)
    except ProvisionError as error:
        fail(str(error))


def _finish(report: "Report", *, as_json: bool, count: int) -> None:
    if as_json:
        differences = [
            {"kind": d.kind, "topic": d.topic, "key": d.key, "wanted": d.wanted, "found": d.found, "mend": d.mend}
            for d in report.differences
        ]
        typer.echo(json.dumps({"done": report.done, "differences": differences, "notes": report.notes}))
    else:
        for line in (*report.done, *report.differences):
            typer.echo(line)
        for note in report.notes:
            typer.echo(f"note: {note}")
        if not report.differences:
            typer.echo(f"{count} topics are as the contract wants them")
    if report.differences:
        raise typer.Exit(1)


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("topic", "key", "partitions", "replicas", "kept", "max. record", "state")
    for row in rows:
        config = row["config"]
        days = int(config["retention.ms"]) // 86_400_000
        kept = f"{days} d" + (", compacted" if "compact" in config["cleanup.policy"] else "")
        table.add_row(
            row["topic"],
            row["key"],
            _beside(row["partitions"], row["partitions_found"]),
            _beside(row["replication_factor"], row["replication_factor_found"]),
            kept,
            f"{int(config['max.message.bytes']) // 1024**2} MiB",
            row["state"],
        )
    Console().print(table)


def _beside(wanted: int, found: int) -> str:
    return str(wanted) if wanted == found else f"{wanted} (found {found})"
