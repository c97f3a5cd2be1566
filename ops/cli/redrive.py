"""`headrace redrive`: dead letters, sent to their request topics again by the fleet's control."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ops.cli.console import FOUND_WRONG, JsonOption, fail, load, print_json, say, settings_option
from ops.cli.pause import carry_out

if TYPE_CHECKING:
    from schemas.admin import AdminAction, AdminOutcome, LetterFilter
    from streams.settings import Settings

_EXAMPLES = """
Examples:

  headrace redrive --reason exhausted --provider main             says how many it would send

  headrace redrive --reason exhausted --provider main --yes       sends them, 500 a second

  headrace redrive 3:17 5:2 --yes                                 these two

  headrace redrive --stop ID      headrace redrive --go-on ID

A letter that was sent again three times already is left out, unless --force is given. The control process carries it out; ending
this command leaves it running.
"""

app = typer.Typer(help="Send dead letters again, by filter, at a rate.", epilog=_EXAMPLES)


@app.command(epilog=_EXAMPLES)
def redrive(
    positions: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PARTITION:OFFSET]...", help="These; else all that fit.", show_default=False),
    ] = None,
    reason: Annotated[
        Literal["poison", "exhausted", "too_large", "undeliverable"] | None,
        typer.Option(help="Only those given up for this reason."),
    ] = None,
    error_type: Annotated[str | None, typer.Option("--type", help="Only those with this error type.")] = None,
    provider: Annotated[str | None, typer.Option(help="Only those that this provider was called for last.")] = None,
    priority: Annotated[
        Literal["high", "normal", "low"] | None, typer.Option("--class", help="Only those of this class.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Only those that ask for this model.")] = None,
    agent: Annotated[str | None, typer.Option(help="Only those of this agent.")] = None,
    tenant: Annotated[str, typer.Option(help="Of this tenant's dead letters; else of the common ones.")] = "",
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Only those of the last 30s, 10m, 1h, 7d.")] = None,
    before: Annotated[str | None, typer.Option(metavar="TIME", help="Only those older than that.")] = None,
    rate: Annotated[int, typer.Option(min=1, max=10_000, help="Letters a second.")] = 500,
    force: Annotated[
        bool, typer.Option("--force", help="Also those that were sent again three times already.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Really send; without it, say what would be sent.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow it to its end.")] = True,
    why: Annotated[str | None, typer.Option("--because", help="Why; it stands in the audit log.")] = None,
    stop: Annotated[str | None, typer.Option(metavar="ID", help="Stop this redrive where it is.")] = None,
    go_on: Annotated[str | None, typer.Option(metavar="ID", help="Let a stopped redrive go on.")] = None,
    as_json: JsonOption = False,
    settings: settings_option = None,
) -> None:
    """Count the dead letters that fit; with --yes have them sent again. Exit 1 where some could not be."""
    from ops.admin.redrive import count
    from ops.cli.running import run

    loaded = load(settings)
    if stop is not None or go_on is not None:
        if stop is not None and go_on is not None:
            fail("--stop or --go-on, not both")
        action = "redrive_stop" if stop is not None else "redrive_go_on"
        carry_out(loaded, action, "15s", as_json, redrive_id=stop or go_on, reason=why)
        return
    wanted = _filter(
        positions=positions or None, reason=reason, error_type=error_type, provider=provider, priority=priority,
        model=model, agent=agent, tenant=tenant or None, since=_ago("--since", since), before=_ago("--before", before),
    )  # fmt: skip
    counted = run(count(loaded, wanted, forced=force))
    if not as_json:
        say(f"{counted.matched} dead letters fit: {counted.sent} can be sent again, {counted.skipped} cannot, "
            f"{counted.guarded} were sent again three times already")  # fmt: skip
        for title, numbers in (("reason", counted.by_reason), ("provider", counted.by_provider)):
            for name, number in numbers.most_common(10):
                say(f"  {title} {name}: {number}")
    if not yes or not counted.sent:
        if as_json:
            print_json({"dry_run": True, **counted.summary()})
        elif counted.sent:
            say(f"--yes sends them, {rate} a second: {counted.sent / rate:.0f} s")
        return
    from ops.admin.actions import make_action, who_i_am

    made = make_action(
        "redrive",
        who_i_am(),
        letters=wanted,
        rate=rate,
        forced=force,
        until=counted.until,
        touches=counted.sent,
        reason=why,
    )
    _send(loaded, made, wait=wait, as_json=as_json)


def _send(settings: "Settings", made: "AdminAction", *, wait: bool, as_json: bool) -> None:
    from ops.admin.actions import write
    from ops.admin.redrive import follow
    from ops.cli.running import print_json_line, run

    async def work() -> "AdminOutcome | None":
        offset = await write(settings, made)
        if not as_json:
            say(f"redrive {made.action_id}", flush=True)
        last = None
        if wait:
            async for last in follow(settings, made.action_id, offset + 1):
                if as_json:
                    print_json_line(last.model_dump(mode="json", exclude={"moved": {"until"}}, exclude_none=True))
                else:
                    say(f"{last.state}  {last.words}", flush=True)
        return last

    last = run(work())
    if not wait and as_json:
        print_json({"action_id": made.action_id})
    if last is not None and last.state != "done":
        raise typer.Exit(FOUND_WRONG)


def _filter(**fields: object) -> "LetterFilter":
    from pydantic import ValidationError

    from schemas.admin import LetterFilter
    from schemas.errors import explain

    try:
        return LetterFilter.model_validate({name: value for name, value in fields.items() if value is not None})
    except ValidationError as error:
        fail(explain(error))


def _ago(option: str, given: str | None) -> object:
    from datetime import UTC, datetime, timedelta

    from ops.cli.running import seconds

    return None if given is None else datetime.now(UTC) - timedelta(seconds=seconds(option, given))
