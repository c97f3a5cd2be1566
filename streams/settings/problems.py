"""From pydantic's errors to one line a fault, with where the value came from and which form is allowed."""

import json
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from streams.settings.keys import SENSITIVE, Place, dotted, field_at, nearest, unit_of

_BOUNDS: Final = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}
_TABLES: Final = frozenset({"model_type", "dict_type", "model_attributes_type"})
_LONGEST_VALUE: Final = 60


def problems_of(error: ValidationError, origins: Mapping[Place, str], file: str) -> list[str]:
    """One line for each of pydantic's errors. `origins` says where values came from, `file` stands for the defaults."""
    return [_problem(detail, origins, file) for detail in error.errors(include_url=False)]


def unknown(origin: str, place: Place) -> str:
    """The line for a key that is not there. Its value is never repeated: it may be a secret that has no place here."""
    meant = nearest(place)
    hint = f"did you mean {meant}?" if meant else "`headrace config reference` lists the keys"
    return f"{origin}: {dotted(place)} is not a setting; {hint}"


def origin_of(place: Place, origins: Mapping[Place, str]) -> str | None:
    """Where the value at a place came from: its own origin, else that of what it stands in, else of something in it."""
    for length in range(len(place), 0, -1):
        if place[:length] in origins:
            return origins[place[:length]]
    return next((origin for known, origin in origins.items() if known[: len(place)] == place), None)


def _problem(detail: ErrorDetails, origins: Mapping[Place, str], file: str) -> str:
    place: Place = tuple(detail["loc"])
    context = detail.get("ctx", {})
    if detail["type"] == "conflict":
        places = [(*place, *key.split(".")) for key in context["keys"]]
        origin = next((origin for each in places if (origin := origin_of(each, origins))), file)
        section = f"[{dotted(place)}] " if place else ""
        return f"{origin}: {section}{context['message']}"
    origin = origin_of(place, origins) or file
    if detail["type"] == "extra_forbidden":
        return unknown(origin, place)
    if detail["type"] == "missing":
        return f"{origin}: {dotted(place)} is missing"
    return f"{origin}: {dotted(place)}{_shown(place, detail)} must be {_allowed(detail, place)}"


def _shown(place: Place, detail: ErrorDetails) -> str:
    value, unit = detail["input"], unit_of(field_at(place))
    # Text where a table or a list belongs may be JSON gone wrong, with anything in it.
    unshown = SENSITIVE.intersection(place) or detail["type"] in _TABLES or detail["type"] == "list_type"
    if unshown or not isinstance(value, str | int | float):
        return ""
    if detail["type"] in _BOUNDS and unit:
        value = unit.write(value)  # a bound is checked after the conversion
    text = json.dumps(value, ensure_ascii=False)
    return f" = {text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + '…'}"


def _allowed(detail: ErrorDetails, place: Place) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    unit = unit_of(field_at(place))
    if kind in _BOUNDS:
        word, name = _BOUNDS[kind]
        return f"{word} {unit.write(context[name]) if unit else context[name]}"
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return _choice(str(context["expected"]), place, detail["input"])
    if kind in _TABLES:
        return "a table (in the environment: JSON, or a variable for each of its keys)"
    if kind == "list_type":
        return 'a list (in the environment: JSON, such as ["a", "b"])'
    if kind in ("string_type", "path_type"):
        return "text"
    return "what it is not: " + detail["msg"][:1].lower() + detail["msg"][1:]


def _choice(expected: str, place: Place, value: Any) -> str:
    field = field_at(tuple(part for part in place if isinstance(part, str)) if isinstance(place[-1], int) else place)
    choices = _literals(field.annotation) if field else []
    meant = (
        get_close_matches(value.lower(), [choice.lower() for choice in choices], n=1) if isinstance(value, str) else []
    )
    hint = f"; did you mean {next(c for c in choices if c.lower() == meant[0])!r}?" if meant else ""
    return expected + hint


def _literals(annotation: Any) -> list[str]:
    if isinstance(annotation, str):
        return [annotation]
    return [choice for argument in get_args(annotation) for choice in _literals(argument)]
