"""What every command shares: the --settings option, one-line failures, and output."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn, TextIO

import orjson
import typer

from ops.cli.plain import one_line, plain, plain_json
from streams.settings import Settings, load_settings

if TYPE_CHECKING:
    from rich.text import Text

# Exit codes: 1, the work was done and something is wrong with what it found; 2, it could not start.
FOUND_WRONG: Final = 1
CANNOT_START: Final = 2

settings_option = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        metavar="FILE",
        help="Settings file; else what HEADRACE_SETTINGS names, else ./headrace.toml if it is there.",
        show_default=False,
    ),
]


def fail(message: str, code: int = CANNOT_START) -> NoReturn:
    """Say in one line on stderr what is wrong, and end with `code`."""
    say(f"headrace: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(code)


def load(path: Path | None) -> Settings:
    """The settings. Raises SettingsError."""
    return load_settings(path)


def print_json(value: Any) -> None:
    """Write a value as indented JSON to stdout; dataclasses, dates and sets of keys that orjson knows are fine."""
    sys.stdout.write(plain_json(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()))


def say(text: str = "", *, file: TextIO | None = None, flush: bool = False) -> None:
    """Print a text that may hold strangers' words."""
    print(plain(text), file=file, flush=flush)


def cell(text: str) -> "Text":
    """A cell of a table of rich: no markup is read in it."""
    from rich.text import Text

    return Text(one_line(text))
