"""JSON schemas as the Messages API takes them: of a tool's input, and of an answer (`response_format`). Pure.

Rules: https://docs.claude.com/en/docs/agents-and-tools/tool-use/implement-tool-use and
https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from streams.providers.formats.wire import CannotTranslateError

_CHOICES: Final = ("anyOf", "oneOf", "allOf")
_PROPERTY: Final = re.compile(r"[a-zA-Z0-9_.-]{1,64}")

_KEPT: Final = frozenset({"$ref", "type", "enum", "const", "description", "title", "default"})
_FORMATS: Final = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)


def input_schema(parameters: Any) -> dict[str, Any]:
    """A function's parameters as a tool's input: an object at the top, without choices there.

    Where a schema is a choice at the top, the properties of all choices are taken, and what all of them require: whatever the
    choice allows, this allows too. Raises CannotTranslateError.

    >>> input_schema({"properties": {}})
    {'properties': {}, 'type': 'object'}
    """
    if parameters is None:
        return {"type": "object", "properties": {}}
    if not isinstance(parameters, dict):
        raise CannotTranslateError("parameters must be a JSON schema")
    translated = {name: value for name, value in parameters.items() if name not in _CHOICES}
    for name in _CHOICES:
        if name in parameters:
            _take_in(translated, parameters, name)
    kind = translated.get("type", "object")
    if kind != "object" and kind is not None and not (isinstance(kind, list) and "object" in kind):
        raise CannotTranslateError(f"parameters must be of type object, not {str(kind)[:64]!r}")
    translated["type"] = "object"
    if translated.get("properties", {}) is None:
        del translated["properties"]
    for name in translated.get("properties") or ():
        if not _PROPERTY.fullmatch(name):
            raise CannotTranslateError(f"the property {name[:64]!r}: 1 to 64 letters, digits, _ . - are taken")
    return translated


def _take_in(translated: dict[str, Any], parameters: Mapping[str, Any], name: str) -> None:
    variants = [_resolved(each, parameters) for each in parameters[name] or () if isinstance(each, dict)]
    properties = dict(translated.get("properties") or {})
    for variant in variants:
        for key, value in (variant.get("properties") or {}).items():
            properties.setdefault(key, value)
    required = [set(variant.get("required") or ()) for variant in variants]
    added = (set.union if name == "allOf" else set.intersection)(*required) if required else set()
    translated["properties"] = properties
    if wanted := [*(translated.get("required") or ()), *sorted(added - set(translated.get("required") or ()))]:
        translated["required"] = wanted


def _resolved(variant: dict[str, Any], parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    node: Any = variant
    if isinstance(ref := variant.get("$ref"), str) and ref.startswith("#/"):
        node = parameters
        for step in ref[2:].split("/"):
            node = node.get(step) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else {}


def answer_schema(schema: Any) -> Any:
    """The schema of an answer. Objects are closed, as the API demands; a rule that it does not know is stated in the description
    instead, where the model reads it.

    >>> answer_schema({"type": "integer", "minimum": 1})
    {'type': 'integer', 'description': '{"minimum": 1}'}
    """
    if not isinstance(schema, dict):
        return schema
    translated: dict[str, Any] = {}
    stated: list[str] = []
    for name, value in schema.items():
        if name in _KEPT:
            translated[name] = value
        elif name in ("properties", "$defs", "definitions") and isinstance(value, dict):
            translated[name] = {key: answer_schema(each) for key, each in value.items()}
        elif name in _CHOICES and isinstance(value, list):
            translated["anyOf" if name == "oneOf" else name] = [answer_schema(each) for each in value]
        elif name == "items":
            translated[name] = answer_schema(value)
        elif (
            name == "required"
            or (name == "minItems" and value in (0, 1))
            or (name == "format" and isinstance(value, str) and value in _FORMATS)
        ):
            translated[name] = value
        elif name not in ("additionalProperties", "$schema", "$id"):
            stated.append(_stated(name, value))
    if translated.get("type") == "object" or "properties" in translated:
        translated["additionalProperties"] = False
    if stated:
        described = translated.get("description")
        translated["description"] = (f"{described}\n\n" if described else "") + "{" + ", ".join(stated) + "}"
    return translated


def _stated(name: str, value: Any) -> str:
    return f"{orjson.dumps(name).decode()}: {orjson.dumps(value).decode()}"
