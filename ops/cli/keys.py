"""`headrace keys`: who may use the front, and for what."""

import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops.cli.console import FOUND_WRONG, JsonOption, fail, load, print_json, say, settings_option

if TYPE_CHECKING:
    from ops.admin.front_keys import KnownKey

_EXAMPLES = """
Examples:

  headrace keys create team-a                                    the key on stdout, this once

  headrace keys create team-a > key.txt                          and nothing else is on stdout

  headrace keys create ci --agents 'ci-*' --class low --model small --rate 60 --expires 24h

  headrace keys list --json

  headrace keys revoke team-a                                    all keys of this name, in under a second

  headrace keys revoke 9f86d081884c                              this one of them: to rotate, create, change over, revoke

Once there is a key, every request to every front needs one, on loopback too.
"""

app = typer.Typer(help="Make, list and revoke keys of the front.", no_args_is_help=True, epilog=_EXAMPLES)


@app.callback()
def group() -> None:
    """Make, list and revoke keys of the front."""


@app.command()
def create(
    name: Annotated[
        str, typer.Argument(help="1 to 64 letters, digits, '.', '_', '-'; the agent of requests without one.")
    ],
    agents: Annotated[
        str | None, typer.Option(metavar="PATTERN", help="Agents that may be named, such as 'team-a-*'. Default: any.")
    ] = None,
    classes: Annotated[
        list[str] | None, typer.Option("--class", metavar="high|normal|low", help="Default: all. Repeatable.")
    ] = None,
    models: Annotated[
        list[str] | None, typer.Option("--model", metavar="PATTERN", help="Default: all. Repeatable.")
    ] = None,
    rate: Annotated[
        int | None, typer.Option(min=1, help="Requests a minute, at each front. Default: no limit.")
    ] = None,
    tenant: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose its requests are: one of [tenants]. Default: nobody's.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="DURATION", help="From now, such as 24h or 90m. Default: never.")
    ] = None,
    as_json: JsonOption = False,
    settings: settings_option = None,
) -> None:
    """Make a key. It is shown this once, on stdout alone, and stored nowhere: only its hash is."""
    from pydantic import ValidationError

    from ops.admin.front_keys import KeyTooLargeError
    from ops.admin.front_keys import create as make
    from ops.cli.running import run, seconds
    from schemas.errors import explain

    fields: dict[str, Any] = {"name": name, "agents": agents, "rate": rate, "tenant": tenant}
    fields |= {"classes": tuple(classes) if classes else None, "models": tuple(models) if models else None}
    if expires is not None:
        fields["expires"] = datetime.now(UTC) + timedelta(seconds=seconds("--expires", expires))
    loaded = load(settings)
    if tenant is not None and tenant not in loaded.tenants:
        fail(f"there is no tenant {tenant!r} in the settings: {', '.join(loaded.tenants) or 'there are none'}")
    try:
        secret, known = run(make(loaded, fields))
    except ValidationError as error:
        fail(f"no such key can be: {explain(error)}")
    except KeyTooLargeError as error:
        fail(str(error))
    if as_json:
        print_json({"key": secret, **known.document(datetime.now(UTC))})
        return
    say(f"key {known.id} of {known.key.name}: {_limits(known)}. It is not shown again:", file=sys.stderr)
    say(secret, flush=True)


@app.command("list")
def list_keys(as_json: JsonOption = False, settings: settings_option = None) -> None:
    """List all keys, the oldest first: ids, never secrets."""
    from ops.admin.front_keys import every
    from ops.cli.running import run

    now = datetime.now(UTC)
    found = run(every(load(settings)))
    if as_json:
        print_json({"keys": [known.document(now) for known in found]})
        return
    for known in found:
        say(f"{known.id}  {known.state(now):8} {known.key.created:%Y-%m-%d}  {known.key.name}: {_limits(known)}")
    if not found:
        say("no keys: fronts serve their own machines alone; `headrace keys create NAME` makes one")


@app.command()
def revoke(
    name_or_id: Annotated[str, typer.Argument(metavar="NAME|ID", help="All keys of a name, or the one of an id.")],
    forget: Annotated[
        bool,
        typer.Option("--forget", help="Take the records away too; a front that never saw them knows nothing of them."),
    ] = False,
    as_json: JsonOption = False,
    settings: settings_option = None,
) -> None:
    """Make keys open nothing more, at all fronts, in under a second; what is under way is answered. Exit 1 if none is there."""
    from ops.admin.front_keys import every, named
    from ops.admin.front_keys import revoke as write
    from ops.cli.running import run

    loaded = load(settings)

    async def work() -> list["KnownKey"]:
        known = named(await every(loaded), name_or_id)
        meant = [each for each in known if forget or not each.key.revoked]
        if meant:
            await write(loaded, meant, forget=forget)
        return meant

    meant = run(work())
    if not meant:
        fail(f"no key of the name or id {name_or_id[:80]!r} is there to revoke: `headrace keys list`", FOUND_WRONG)
    if as_json:
        print_json({"revoked": [{"id": known.id, "name": known.key.name} for known in meant]})
        return
    for known in meant:
        say(f"revoked {known.id} {known.key.name}")


def _limits(known: "KnownKey") -> str:
    key = known.key
    said = [
        f"agents {key.agents}" if key.agents is not None else "any agent",
        "class " + " or ".join(key.classes) if key.classes is not None else "any class",
        "models " + ", ".join(key.models) if key.models is not None else "any model",
        f"{key.rate} requests a minute" if key.rate is not None else "no limit of requests",
    ]
    if key.expires is not None:
        said.append(f"until {key.expires:%Y-%m-%d %H:%M} UTC")
    return ", ".join(said)
