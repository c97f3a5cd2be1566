"""Settings as text: a settings file with origins, a flat table for programs, and the page of the reference."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from streams.settings import Effective, Settings
from streams.settings.base import Section
from streams.settings.changes import class_of
from streams.settings.keys import Key, Place, all_keys, dotted, entries_of, section_of

_INTRODUCTION: Final = """\
# Settings

<!-- Made by `headrace config reference`; a test keeps it current. -->

Settings are read from a file and the environment, the environment first:

- the file is what `--settings FILE` names, else what `HEADRACE_SETTINGS` names, else `./headrace.toml` if it is there;
- every key has a variable: `kafka.session_timeout` is `HEADRACE_KAFKA__SESSION_TIMEOUT`, `providers[0].name` is
  `HEADRACE_PROVIDERS__0__NAME`. Whole lists and tables are JSON. An empty variable counts as not set;
- an unknown key or variable, a value without its unit, or one out of range stops the program with one line.

| written | means |
|---|---|
| duration | `"500ms"`, `"30s"`, `"5m"`, `"24h"`, `"14d"` |
| size | `"1KB"`, `"50MB"`, `"1GB"` are decimal (1MB = 1,000,000 bytes); `"1KiB"`, `"16MiB"`, `"1GiB"` binary |
| share | `"75%"` |
| rate | `"1000/s"`, `"3500/minute"`, `"10/hour"`, `"100/day"`; where a provider's limit is meant, also `"unlimited"` |
| bandwidth | `"10MB/s"` or `"unlimited"` |

Secrets are no settings: `api_key_env`, `api_key_file`, `sasl_password_env` and `sasl_password_file` say where one is found.
White space around one is dropped. What is empty then or not printable ASCII is refused at the start; so is an API key with
a space in it, in quotes, or behind the word `Bearer`. The message says where it was found and never what it holds.

What is marked *Live* takes effect in running processes, on SIGHUP and within two seconds after the file has changed; all else at
their next start ([operating.md](operating.md#change-settings-while-it-runs)).

`headrace config show` prints the values in force and where each comes from; `headrace config check` names every fault,
those of secrets that are there too; with `--secrets` also those that are not.
"""

_BOUNDS: Final = (("gt", "more than"), ("ge", "at least"), ("lt", "less than"), ("le", "at most"))
_MASK: Final = "***"


def as_toml(effective: Effective) -> str:
    """The settings as a file that can be read again; a comment on every line says where its value comes from."""
    return "\n".join(_table(effective, effective.settings, (), "")).lstrip("\n") + "\n"


def with_origins(effective: Effective) -> dict[str, dict[str, Any]]:
    """Every key with its value, as a file would write it, and its origin."""
    return {
        dotted(place): {"value": value, "from": effective.origin(place)}
        for place, value in _values(effective.settings, ())
    }


def reference_page() -> str:
    """The page of all settings, in Markdown."""
    lines = [_INTRODUCTION]
    for name, field in Settings.model_fields.items():
        section = section_of(field.annotation)
        listed = "" if section is None or field.annotation is section else entries_of(field.annotation)
        about = (section.__doc__ or "").strip() if section else ""
        lines += [
            f"## {name}{listed}\n",
            f"{field.description or about}\n",
            "| key | default | value | meaning |",
            "|---|---|---|---|",
        ]
        lines += [_row(key) for key in all_keys() if key.name.startswith((f"{name}.", f"{name}[]."))]
        lines.append("")
    return "\n".join(lines)


def _row(key: Key) -> str:
    field = key.field
    default = "required" if field.is_required() else "none" if field.default is None else f"`{_toml(field.default)}`"
    limits = [
        f"{word} {key.unit.write(bound) if key.unit else bound}"
        for attribute, word in _BOUNDS
        for bound in (getattr(item, attribute, None) for item in field.metadata)
        if bound is not None
    ]
    live = " *Live.*" if class_of(key.name) == "live" else ""
    return f"| `{key.name}` | {default} | {', '.join([key.kind, *limits])} | {field.description}{live} |"


def _table(effective: Effective, section: Section, place: Place, heading: str) -> Iterator[str]:
    """The lines of one table: its own keys, then the tables in it, as TOML wants it."""
    inner: list[tuple[str, Any]] = []
    own: list[str] = []
    for name, value in section:
        if isinstance(value, Section) or (isinstance(value, list) and name == "providers") or _named_sections(value):
            inner.append((name, value))
        else:
            own.append(_line(name, _written(section, name), effective.origin((*place, name))))
    if own:
        yield from ("", heading, *own) if heading else own
    path = [part for part in place if isinstance(part, str)]
    for name, value in inner:
        full = ".".join((*path, name))
        if isinstance(value, Section):
            yield from _table(effective, value, (*place, name), f"[{full}]")
        elif isinstance(value, dict):
            for key, entry in value.items():
                yield from _table(effective, entry, (*place, name, key), f"[{full}.{key}]")
        else:
            for index, entry in enumerate(value):
                yield from _table(effective, entry, (*place, name, index), f"[[{full}]]")


def _named_sections(value: Any) -> bool:
    return isinstance(value, dict) and any(isinstance(entry, Section) for entry in value.values())


def _line(name: str, value: Any, origin: str) -> str:
    return f"# {name} is not set" if value is None else f"{name} = {_toml(value)}  # {origin}"


def _values(section: Section, place: Place) -> Iterator[tuple[Place, Any]]:
    for name, value in section:
        if isinstance(value, Section):
            yield from _values(value, (*place, name))
        elif isinstance(value, list) and value and isinstance(value[0], Section):
            for index, entry in enumerate(value):
                yield from _values(entry, (*place, name, index))
        elif _named_sections(value):
            for key, entry in value.items():
                yield from _values(entry, (*place, name, key))
        else:
            yield (*place, name), _written(section, name)


def _written(section: Section, name: str) -> Any:
    """A value as the file writes it. What headers say is masked: it is the one free text that may hold a credential."""
    return _masked(name, section.model_dump(mode="json", include={name})[name])


def _masked(name: str, value: Any) -> Any:
    if name == "headers":
        return dict.fromkeys(value, _MASK)
    if isinstance(value, dict):
        return {key: _masked(key, inner) for key, inner in value.items()}
    return [_masked(name, inner) for inner in value] if isinstance(value, list) else value


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        pairs = (f"{_toml_key(key)} = {_toml(inner)}" for key, inner in value.items() if inner is not None)
        return "{ " + ", ".join(pairs) + " }" if value else "{}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(inner) for inner in value) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _toml_key(key: str) -> str:
    return key if key.isascii() and key.replace("-", "").replace("_", "").isalnum() else json.dumps(key)
