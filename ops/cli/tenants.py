"""`headrace tenants`: the tenants of the settings, and what they need on a broker."""

from pathlib import Path
from typing import Annotated

import typer

from ops.cli.console import FOUND_WRONG, fail, load, print_json, say, settings_option

_EXAMPLES = """
Examples:

  headrace tenants list                          who shares the fleet, with which share

  headrace tenants apply --dry-run               what is missing on the broker, and nothing is changed

  headrace tenants apply tenants.toml --yes      make topics, ACLs and quotas

  headrace tenants apply --prune                 and take away rights of principals that moved or went (former_principals)

  headrace tenants apply --print > acls.sh       the same as commands of Kafka's tools, for who alone may change ACLs

Applying twice changes nothing the second time.
"""

app = typer.Typer(help="List tenants, and make their topics, ACLs and quotas.", no_args_is_help=True, epilog=_EXAMPLES)

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


@app.command(name="list")
def list_tenants(as_json: JsonOption = False, settings: settings_option = None) -> None:
    """Show the tenants of the settings."""
    loaded = load(settings)
    if as_json:
        print_json({"tenants": {name: each.model_dump(mode="json") for name, each in loaded.tenants.items()}})
        return
    total = sum(each.weight for each in loaded.tenants.values()) + 1
    for name, each in loaded.tenants.items():
        whose = ", ".join(each.principals) or "no principals"
        shared = ", shares cached answers" if each.cache.shared else ""
        say(f"{name}: weight {each.weight} ({each.weight / total:.1%} while all wait), {whose}{shared}")
    if not loaded.tenants:
        say("no tenants: add a table [tenants.<name>] to the settings")


@app.command(epilog=_EXAMPLES)
def apply(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="Settings that name the tenants; as --settings.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what differs; change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Take away rights and quotas of named principals that are not wanted any more."),
    ] = False,
    print_only: Annotated[
        bool, typer.Option("--print", help="Print commands of Kafka's tools for ACLs and quotas; ask no broker.")
    ] = False,
    as_json: JsonOption = False,
    settings: settings_option = None,
) -> None:
    """Make the topics, ACLs and quotas that tenants lack.

    What differs is shown first. Exit 1 if something differs at the end, or could not be seen.
    """
    from ops.admin import tenants
    from ops.cli.running import run

    if file is not None and settings is not None:
        fail("name the settings once: as FILE or with --settings")
    loaded = load(file or settings)
    if not loaded.tenants:
        fail("there are no tenants in the settings: add a table [tenants.<name>]")
    if print_only:
        for command in tenants.commands(loaded):
            say(command)
        return
    done, tried, plan = list[str](), False, run(tenants.compare(loaded))
    if not as_json:
        for line in plan.lines(prune=prune):
            say(line)
    changes = plan.differs(prune=prune)
    if changes and not dry_run:
        if not yes and not typer.confirm("change this?", err=True):
            raise typer.Exit(FOUND_WRONG)
        tried = True
        done, plan = run(tenants.apply(loaded, prune=prune))
        changes = plan.differs(prune=prune)
    if as_json:
        print_json({"done": done, "differences": list(plan.lines(prune=prune)), "differs": changes})
    else:
        for line in done:
            say(line)
        if tried and changes:
            say("what differs still:")
            for line in plan.lines(prune=prune):
                say(line)
        if not changes:
            topics, acls = tenants.topics_of_tenants(loaded), tenants.wanted_acls(loaded)
            say(f"{len(loaded.tenants)} tenants are as they should be: {len(topics)} topics, {len(acls)} ACLs")
    if changes:
        raise typer.Exit(FOUND_WRONG)
