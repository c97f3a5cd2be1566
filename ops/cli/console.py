"""What every command shares: the --settings option, one-line failures, and output."""

import sys
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import orjson
import typer

from streams.settings import Settings, SettingsError, load_settings

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
    print(f"headrace: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(code)


def load(path: Path | None) -> Settings:
    """The settings, or the end of the command with one line that says what is wrong with them."""
    try:
        return load_settings(path)
    except SettingsError as error:
        fail(str(error))


def print_json(value: Any) -> None:
    """Write a value as indented JSON to stdout; dataclasses, dates and sets of keys that orjson knows are fine."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode())
