"""`headrace forget`: delete what an agent's requests left."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops.cli.console import FOUND_WRONG, fail, load, print_json, say, settings_option

if TYPE_CHECKING:
    from ops.admin.forget import Forgotten, Found

app = typer.Typer(help="Delete what an agent's requests left in caches and the index, and say what stays and how long.")

_EXAMPLES = """
Examples:

    headrace forget --agent agent-17 --dry-run          what there is, and until when what cannot be deleted stays

    headrace forget --agent agent-17 --reason "case 1042"

    headrace forget --agent agent-17 --tenant acme --before 2026-01-31T00:00:00Z --yes --json

Exit code 1 where a worker has not said within --wait that it has deleted it, or where an ACL is missing to tell what stays;
doing it again is fine.
"""


@app.command(epilog=_EXAMPLES, no_args_is_help=True)
def forget(
    agent: Annotated[str, typer.Option(metavar="ID", help="Whose requests: their agent_id.")],
    tenant: Annotated[str, typer.Option(metavar="NAME", help="The agent's tenant.")] = "",
    before: Annotated[
        str | None, typer.Option(metavar="TIME", help="Of what came before this moment, in ISO 8601. Default: now.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why, for the audit log.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what there is; change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    wait: Annotated[str, typer.Option(metavar="TIME", help="How long to wait for the workers' answers.")] = "30s",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
    settings: settings_option = None,
) -> None:
    """Delete an agent's cached answers, its finished requests' memory and its rows in the index, in the whole fleet.

    What it touches is told first. Logs that are deleted by age alone are named, with the time by which they are gone.
    """
    from datetime import UTC, datetime

    from ops.admin.actions import who_i_am
    from ops.admin.forget import forget as carry_out
    from ops.admin.forget import look
    from ops.cli.running import run, seconds

    loaded, wait_s = load(settings), seconds("--wait", wait)
    if tenant and tenant not in loaded.tenants:
        fail(f"the settings name no tenant {tenant[:80]!r}")
    now = datetime.now(UTC)
    try:
        until = now if before is None else datetime.fromisoformat(before)
    except ValueError:
        fail(f"--before: {before!r} is no moment such as 2026-01-31T00:00:00Z")
    if until.tzinfo is None:
        fail("--before: say the time zone, such as Z at the end")
    found = run(look(loaded, agent, tenant, min(until, now)))
    if not as_json:
        _tell(found)
    if dry_run:
        if as_json:
            print_json(_details(found))
        if found.unseen:
            raise typer.Exit(FOUND_WRONG)
        return
    if not yes and not typer.confirm("delete this?", err=True):
        raise typer.Exit(FOUND_WRONG)
    came = run(carry_out(loaded, found, who_i_am(), reason, wait_s))
    if as_json:
        print_json(_details(found, came))
    else:
        for each in came.said:
            say(f"{each.process}: {each.state}, {each.words}")
        for worker in came.silent:
            say(f"{worker}: has not answered within {wait}")
        say(f"forgotten: {came.deleted} entries of the cache (action {came.action_id})")
    if came.silent or found.unseen or any(each.state == "failed" for each in came.said):
        raise typer.Exit(FOUND_WRONG)


def _tell(found: "Found") -> None:
    say(f"{len(found.keys)} entries of the cache are this agent's (owner {found.owner})")
    if found.unknown:
        say(
            f"{found.unknown} entries do not say whose they are: an older version wrote them; `headrace cache purge` deletes all"
        )
    say("not deleted by this, but by age:")
    for each in found.left:
        say(f"  {each}")
    for line in found.unseen:
        say(f"not told: {line}")


def _details(found: "Found", came: "Forgotten | None" = None) -> dict[str, Any]:
    told: dict[str, Any] = {
        "owner": found.owner,
        "before": found.before,
        "entries": len(found.keys),
        "entries_of_unknown_owner": found.unknown,
        "left": [{"topic": each.topic, "what": each.what, "until": each.until} for each in found.left],
        "unseen": list(found.unseen),
    }
    if came is not None:
        told |= {
            "action_id": came.action_id,
            "deleted": came.deleted,
            "said": [each.model_dump(mode="json", exclude_none=True) for each in came.said],
            "silent": list(came.silent),
        }
    return told
