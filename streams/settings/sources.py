"""Where values come from: the file, and the environment.

Both become one nested dictionary, with a note of the origin of every value. The environment is read here and not by
pydantic-settings, because messages name the variable at fault, a variable that no setting knows is a fault too, and
entries of a list have variables of their own (docs/decisions/0002-settings.md).
"""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from streams.settings.errors import SettingsError
from streams.settings.keys import Place, dotted

PREFIX: Final = "HEADRACE_"
FILE_VARIABLE: Final = "HEADRACE_SETTINGS"
DEFAULT_FILE: Final = Path("headrace.toml")

# What Kubernetes puts into every pod's environment for a Service called "headrace" (or headrace-…): not ours to refuse.
_SERVICE_LINK = re.compile(
    r"HEADRACE(_[A-Z0-9]+)*_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP)(_[A-Z]+)?)?)"
)


def settings_file(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The file to read: the one asked for, else HEADRACE_SETTINGS, else ./headrace.toml if it is there."""
    if path is not None:
        return path
    if environ.get(FILE_VARIABLE):
        return Path(environ[FILE_VARIABLE])
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None


def read_file(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. SettingsError if it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: is no UTF-8 text; write the settings as TOML") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: is no TOML: {error}") from None
    except RecursionError:
        raise SettingsError(f"{path}: is nested too deeply for settings") from None


def variables(environ: Mapping[str, str]) -> Iterator[tuple[str, Place, Any]]:
    """Variable, place and value of everything in the environment that is ours, tables before the keys in them.

    An empty variable counts as not set. Tables and lists are JSON; HEADRACE_PROVIDERS__0__NAME reaches into a list.
    """
    for name in sorted(environ, key=lambda name: (name.count("__"), name)):
        text = environ[name]
        ours = name.startswith(PREFIX) and name != FILE_VARIABLE
        if not ours or not text or ("__" not in name and _SERVICE_LINK.fullmatch(name)):
            continue
        parts = name.removeprefix(PREFIX).lower().split("__")
        yield name, tuple(int(part) if part.isascii() and part.isdigit() else part for part in parts), _decoded(text)


def _decoded(text: str) -> Any:
    if text.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text  # an address such as [::1]:9092, or a fault that validation names
    return text


def put(tree: dict[str, Any], place: Place, value: Any, origin: str) -> None:
    """Write a value into the nested dictionary, over what is there. SettingsError if a list has no such entry."""
    node: Any = tree
    for at, (part, following) in enumerate(zip(place, (*place[1:], None), strict=True)):
        last = at == len(place) - 1
        if isinstance(node, list) and isinstance(part, int):
            if part > len(node):
                raise SettingsError(
                    f"{origin}: {dotted(place[:at])} has {len(node)} entries; the next index is {len(node)}"
                )
            if part == len(node):
                node.append(value if last else {})
        elif isinstance(node, dict) and isinstance(part, str):
            node.setdefault(part, [] if isinstance(following, int) else {})
        else:
            raise SettingsError(f"{origin}: {dotted(place[:at])} has no entry {part!r}")
        if last:
            node[part] = value
        else:
            node = node[part]


def leaves(node: Any, place: Place = ()) -> Iterator[Place]:
    """The places of all values in a nested dictionary; an empty table or list is a value."""
    if isinstance(node, dict) and (node or not place):
        for name, inner in node.items():
            yield from leaves(inner, (*place, name))
    elif isinstance(node, list) and node:
        for index, inner in enumerate(node):
            yield from leaves(inner, (*place, index))
    else:
        yield place
