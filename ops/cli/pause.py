"""`headrace pause` and `headrace resume`: classes of requests, in the whole fleet."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ops.cli.console import FOUND_WRONG, JsonOption, load, print_json, say, settings_option

if TYPE_CHECKING:
    from schemas.admin import AdminAction, AdminOutcome
    from streams.settings import Settings

ReasonOption = Annotated[
    str | None, typer.Option("--reason", help="Why; it stands in the audit log.", show_default=False)
]
WithinOption = Annotated[str, typer.Option("--within", metavar="TIME", help="How long to wait for what comes of it.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say how much it touches, and do nothing.")]

_PAUSE_EXAMPLES = """
Examples:

  headrace pause low --dry-run          how many requests would wait

  headrace pause low --reason "the provider is down"

  headrace resume low

What waits keeps its time limits: what runs out of time is answered `expired`. Answers from the cache go on. A pause lasts until
`headrace resume`, also over restarts.
"""

app = typer.Typer(help="Dispatch no request of a class, in the whole fleet.", epilog=_PAUSE_EXAMPLES)


@app.command(epilog=_PAUSE_EXAMPLES)
def pause(
    priority: Annotated[Literal["high", "normal", "low"], typer.Argument(metavar="CLASS", help="high, normal or low.")],
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    within: WithinOption = "5s",
    as_json: JsonOption = False,
    settings: settings_option = None,
) -> None:
    """Dispatch no request of the class until `headrace resume`. Calls under way go on."""
    from ops.admin.actions import waiting_by_class
    from ops.cli.running import run

    loaded = load(settings)
    touches = run(waiting_by_class(loaded))[priority]
    if not as_json:
        say(f"{touches} requests of class {priority} have no answer yet", flush=True)
    if dry_run:
        if as_json:
            print_json({"dry_run": True, "touches": touches})
        return
    carry_out(loaded, "pause", within, as_json, priority=priority, reason=reason, touches=touches)


def carry_out(settings: "Settings", action: str, within: str, as_json: bool, **fields: object) -> None:
    """Write an action and tell what workers say of it; exit 1 where one failed or none said anything."""
    from ops.admin.actions import make_action, outcomes_of, who_i_am, write
    from ops.cli.running import run, seconds

    made = make_action(action, who_i_am(), **fields)
    within_s = seconds("--within", within)

    async def work() -> "list[AdminOutcome]":
        offset = await write(settings, made)
        return await outcomes_of(settings, made.action_id, offset + 1, within_s)

    tell(made, run(work()), as_json)


def tell(made: "AdminAction", said: "list[AdminOutcome]", as_json: bool) -> None:
    """What came of an action."""
    from ops.cli.plain import one_line

    if as_json:
        outcomes = [each.model_dump(mode="json", exclude_none=True) for each in said]
        print_json({"action": made.model_dump(mode="json", exclude_none=True), "outcomes": outcomes})
    else:
        for each in said:
            say(f"{each.state}  {one_line(each.words)}  ({one_line(each.process)})")
        if not said:
            say(f"written as {made.action_id}; nobody has said yet that it was carried out: `headrace audit` tells")
    if not said or any(each.state in ("failed", "refused") for each in said):
        raise typer.Exit(FOUND_WRONG)


def note_in_audit(settings: "Settings", action: str, words: str, number: int, **fields: object) -> None:
    """Write what a command has done already; where that fails, one line says so, and it is done anyway."""
    import sys

    from ops.admin.acting import note_done
    from ops.admin.actions import make_action, who_i_am
    from ops.cli.running import run

    made = make_action(action, who_i_am(), touches=number, **fields)
    problem = run(note_done(settings, made, words, number))
    if problem is not None:
        say(f"headrace: it is done, and stands in no audit log: {problem}", file=sys.stderr)
