"""`headrace resume`: the end of a pause."""

from typing import Annotated, Literal

import typer

from ops.cli.console import JsonOption, load, settings_option
from ops.cli.pause import ReasonOption, WithinOption, carry_out

app = typer.Typer(help="Dispatch requests of a paused class again.")

_EXAMPLES = """
Examples:

  headrace resume low

  headrace resume                       all classes
"""


@app.command(epilog=_EXAMPLES)
def resume(
    priority: Annotated[
        Literal["high", "normal", "low"] | None,
        typer.Argument(metavar="[CLASS]", help="high, normal or low; without it all.", show_default=False),
    ] = None,
    reason: ReasonOption = None,
    within: WithinOption = "5s",
    as_json: JsonOption = False,
    settings: settings_option = None,
) -> None:
    """Dispatch requests of the class again, in the whole fleet."""
    carry_out(load(settings), "resume", within, as_json, priority=priority, reason=reason)
