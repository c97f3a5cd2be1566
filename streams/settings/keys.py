"""The keys that there are: their dotted names, fields and units, read from the models."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any, Final, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from streams.settings.base import Section
from streams.settings.model import Settings
from streams.settings.units import Unit

# A place in the settings: ("providers", 0, "name").
Place = tuple[str | int, ...]

# Keys whose values may carry a credential by mistake, so that no message and no listing repeats them.
SENSITIVE: Final = frozenset(
    {"headers", "url", "api_key_env", "api_key_file", "sasl_username", "sasl_password_env", "sasl_password_file"}
)


# What stands behind the name of a key that holds several sections.
_ENTRIES: Final[dict[Any, str]] = {list: "[]", dict: ".<name>"}


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the reference: `providers[].name`."""

    name: str
    field: FieldInfo

    @property
    def unit(self) -> Unit | None:
        """The unit of its value, where it has one."""
        return unit_of(self.field)

    @property
    def kind(self) -> str:
        """What a value of it is, for the reference: a unit's name, the choices, or text, path, list, table."""
        unit = self.unit
        return unit.name if unit else _kind(self.field.annotation)


def dotted(place: Place) -> str:
    """How a place is written in messages: `providers[0].name`."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


@cache
def all_keys() -> tuple[Key, ...]:
    """Every key, in the order of the sections."""
    return tuple(_keys(Settings, ""))


def _keys(section: type[Section], prefix: str) -> Iterator[Key]:
    for name, field in section.model_fields.items():
        inner = section_of(field.annotation)
        if inner is None:
            yield Key(prefix + name, field)
        else:
            yield from _keys(inner, f"{prefix}{name}{entries_of(field.annotation)}.")


def section_of(annotation: Any) -> type[Section] | None:
    """The section that a field holds, by itself, in a list or in a table by names."""
    if get_origin(annotation) in _ENTRIES:
        annotation = get_args(annotation)[-1]
    return annotation if isinstance(annotation, type) and issubclass(annotation, Section) else None


def entries_of(annotation: Any) -> str:
    """What stands behind the name of a key that holds several sections: `[]` or `.<name>`; empty for any other."""
    return _ENTRIES.get(get_origin(annotation), "")


def section_at(place: Place) -> type[Section] | None:
    """The section at a place; None where there is none."""
    section: type[Section] | None = Settings
    is_name = False
    """Whether the next part is the name of an entry."""
    for part in place:
        if section is None:
            return None
        if is_name:
            is_name = False
        elif isinstance(part, str):
            field = section.model_fields.get(part)
            section = section_of(field.annotation) if field else None
            is_name = field is not None and get_origin(field.annotation) is dict
    return None if is_name else section


def field_at(place: Place) -> FieldInfo | None:
    """The field of a key; None where there is no such key."""
    section = section_at(place[:-1]) if place else None
    return section.model_fields.get(str(place[-1])) if section else None


def unit_of(field: FieldInfo | None) -> Unit | None:
    """The unit that stands in a field's annotation, also where the value may be left out (`Seconds | None`)."""
    if field is None:
        return None
    optional = (item for choice in get_args(field.annotation) for item in getattr(choice, "__metadata__", ()))
    return next((item for item in (*field.metadata, *optional) if isinstance(item, Unit)), None)


def nearest(place: Place) -> str | None:
    """The key that an unknown one meant, if any: a near neighbour first, then one of the same name elsewhere."""
    name = str(place[-1])
    section = section_at(place[:-1])
    neighbours = list(section.model_fields) if section else []
    for match in get_close_matches(name.replace("-", "_").lower(), neighbours, n=1):
        return dotted((*place[:-1], match))
    named = {key.name.rpartition(".")[2]: key.name for key in reversed(all_keys())}
    if name in named:
        return named[name]
    return next(iter(get_close_matches(dotted(place), [key.name for key in all_keys()], n=1)), None)


def _kind(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " \\| ".join(f"`{choice}`" for choice in arguments)
    if origin is list:
        return f"list of {_kind(arguments[0])}"
    if origin is dict:
        return "table"
    kinds = [item for item in arguments if item is not type(None)]
    if kinds:
        return _kind(kinds[0])
    return "path" if getattr(annotation, "__name__", "") == "Path" else "text"
