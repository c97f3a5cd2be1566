"""`headrace status`: is the fleet well?"""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from ops.cli.console import load, print_json, say, settings_option

if TYPE_CHECKING:
    from ops.admin.status import Part

app = typer.Typer(help="Say whether broker, topics, workers, control, front, providers and limits are well.")

_EXAMPLES = """
Examples:

  headrace status                            a line for each part

  headrace status -v                         what there is to say of each

  headrace status --json | jq .state         ok, degraded or unknown

Exit code 0: all is well; 1: something is not; 2: nothing can be said, since the broker or its topics cannot be read.
"""
_COLOURS: Final = {"ok": typer.colors.GREEN, "degraded": typer.colors.RED, "unknown": typer.colors.YELLOW}
_WIDTH: Final = 60


@app.command(epilog=_EXAMPLES)
def status(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also what is well, in full.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    settings: settings_option = None,
) -> None:
    """Ask the broker, the fleet's own topics and every worker. No address is needed: workers name theirs in metrics.samples."""
    from ops.admin import status as admin
    from ops.cli.running import run

    found = run(admin.look(load(settings)))
    if as_json:
        print_json(admin.as_json(found))
    else:
        for part in found.parts:
            _show(part, verbose)
        _line("fleet", found.state, "")
    raise typer.Exit(found.exit_code)


def _show(part: "Part", verbose: bool) -> None:
    _line(part.name, part.state, part.says)
    for more in part.more if verbose or part.state != "ok" else ():
        _wrapped(more, "    ")


def _line(name: str, state: str, says: str) -> None:
    import sys

    from ops.cli.plain import plain

    lines = _fold(says, _WIDTH - 21)
    word = f"{state:<9}"
    if sys.stdout.isatty() and not _no_color():
        word = typer.style(word, fg=_COLOURS[state])
    print(f"{name:<10} {word} {plain(lines[0])}".rstrip())
    for each in lines[1:]:
        say(" " * 21 + each)


def _wrapped(text: str, indent: str) -> None:
    for each in _fold(text, _WIDTH - len(indent)):
        say(indent + each)


def _fold(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(" ".join(text.split()), width) or [""]


def _no_color() -> bool:
    import os

    return bool(os.environ.get("NO_COLOR"))
