"""`headrace metrics`: what can be measured."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ops.cli.console import FOUND_WRONG, fail

app = typer.Typer(help="What processes show at /metrics.", no_args_is_help=True)

_EXAMPLES = """
Examples:

    headrace metrics names

    headrace metrics names --json | jq -r 'select(.kind == "histogram").name'

Windows of the fleet: headrace tail metrics.windows -n 10 --key fleet
"""


@app.callback()
def _group() -> None:
    """Keep `names` a command of its own: typer runs a lone command without its name."""


@app.command(epilog=_EXAMPLES)
def names(
    as_json: Annotated[bool, typer.Option("--json", help="Print each metric as a line of JSON.")] = False,
    file: Annotated[Path | None, typer.Option("--check", help="Write nothing; exit 1 if this file differs.")] = None,
) -> None:
    """Print every metric with its labels and what it means, as docs/metric-names.md has it."""
    from ops.cli.running import print_json_line
    from streams.metrics.names import exposed, reference_page

    if as_json:
        for each in exposed():
            print_json_line(asdict(each))
        return
    page = reference_page()
    if file is None:
        sys.stdout.write(page)
    elif not file.is_file() or file.read_text(encoding="utf-8") != page:
        fail(f"{file} is not current: headrace metrics names > {file}", FOUND_WRONG)
