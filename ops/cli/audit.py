"""`headrace audit`: what operators have asked of the fleet, and what came of it."""

from typing import Annotated

import typer

from ops.cli.console import JsonOption, load, print_json, say, settings_option

_EXAMPLES = """
Examples:

  headrace audit                        the newest 50, the newest first

  headrace audit -n 500 --json
"""

app = typer.Typer(help="See what operators asked of the fleet, and what came of it.", epilog=_EXAMPLES)


@app.command(epilog=_EXAMPLES)
def audit(
    count: Annotated[int, typer.Option("-n", "--last", min=1, max=2_000, help="The newest so many.")] = 50,
    as_json: JsonOption = False,
    settings: settings_option = None,
) -> None:
    """Read agent.admin: who asked what, when, and what came of it. Thirty days are kept."""
    from ops.admin.actions import read_all
    from ops.admin.tail import when
    from ops.cli.plain import one_line
    from ops.cli.running import run
    from streams.actions.audit import AdminView

    view = AdminView()
    run(read_all(load(settings), view.note))
    entries = view.newest(count)
    if as_json:
        print_json({"actions": [each.details() for each in entries]})
        return
    for each in entries:
        asked, last = each.action, each.last
        cells = (
            when(round(each.at * 1000)), asked.action, each.about, f"by {asked.requested_by}", asked.reason or "", each.state,
            "" if last is None else f"{last.words} ({len(each.outcomes)} processes)",
        )  # fmt: skip
        say("  ".join(one_line(cell) for cell in cells if cell))
    if not entries:
        say("nothing was asked in the last 30 days")
