"""What every command shares: the --settings option, one-line failures, and output."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn, TextIO

import orjson
import typer

from ops.cli.plain import one_line, plain, plain_json
from streams.settings import Settings, load_settings

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

# Exit codes: 1, the work was done and something is wrong with what it found; 2, it could not start.
FOUND_WRONG: Final = 1
CANNOT_START: Final = 2

_WIDE: Final = 1000

settings_option = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        metavar="FILE",
        help="Settings file; else what HEADRACE_SETTINGS names, else ./headrace.toml if it is there.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
BrokerOption = Annotated[
    str | None,
    typer.Option(
        metavar="embedded|apache|HOST:PORT",
        help="Else the one of the settings, if it answers; else apache where Java and Maven are, else embedded.",
        show_default=False,
    ),
]
RequestArgument = Annotated[str, typer.Argument(metavar="ID", help="The request's id, or topic:partition:offset.")]
AnswersSinceOption = Annotated[str, typer.Option(metavar="TIME", help="Answers of the last 30s, 10m, 1h, 7d.")]


def fail(message: str, code: int = CANNOT_START) -> NoReturn:
    """Say in one line on stderr what is wrong, and end with `code`."""
    say(f"headrace: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(code)


def load(path: Path | None) -> Settings:
    """The settings; what a command shows is by their redaction from then on. Raises SettingsError."""
    loaded = load_settings(path)
    if loaded.redaction.patterns or loaded.redaction.paths:
        from streams.redaction import in_force

        in_force.take(loaded.redaction)
    return loaded


def print_json(value: Any) -> None:
    """Write a value as indented JSON to stdout; dataclasses, dates and sets of keys that orjson knows are fine."""
    sys.stdout.write(plain_json(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()))


def say(text: str = "", *, file: TextIO | None = None, flush: bool = False) -> None:
    """Print a text that may hold strangers' words."""
    print(plain(text), file=file, flush=flush)


def print_table(table: "Table") -> None:
    """Print a table of rich. A cell that is too long for the terminal is folded, never cut: what it names is wanted for the next
    command. Where no terminal reads it, a row is one line.
    """
    from rich.console import Console

    for column in table.columns:
        column.overflow = "fold"
    known = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()
    Console(width=None if known else _WIDE).print(table)


def cell(text: str) -> "Text":
    """A cell of a table of rich: no markup is read in it."""
    from rich.text import Text

    return Text(one_line(text))
