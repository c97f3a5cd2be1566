"""A value that fits a JSON schema, the same for the same seed: what a model with structured output would answer.

Of the schemas that OpenAI's and Anthropic's structured outputs take: objects, arrays, enums, `anyOf`, `$ref` and `$defs`, bounds
of numbers and lengths. Depth is bounded: what goes deeper is left out where it may be.
https://platform.openai.com/docs/guides/structured-outputs
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_DEEPEST: Final = 12
_RECURSION: Final = 4
"""From this depth on the shortest way to an end is taken: empty arrays, null, the last of several."""


def fitting(schema: Mapping[str, Any], seed: int) -> Any:
    """A value of the schema. ValueError where it asks for more than is known here."""
    return _value(schema, schema, seed, 0)


def _value(schema: Any, root: Mapping[str, Any], seed: int, depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        raise ValueError("a schema that is no object, or too deep")
    if "$ref" in schema:
        return _value(_resolve(str(schema["$ref"]), root), root, seed, depth + 1)
    for name in ("const", "default"):
        if name in schema:
            return schema[name]
    if isinstance(schema.get("enum"), list):
        return schema["enum"][seed % len(schema["enum"])]
    for name in ("anyOf", "oneOf", "allOf"):
        if isinstance(schema.get(name), list):
            options = schema[name]
            return _value(options[-1] if depth >= _RECURSION else options[seed % len(options)], root, seed, depth + 1)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = "null" if depth >= _RECURSION and "null" in kind else kind[0]
    match kind:
        case "object":
            found = schema.get("properties", {})
            wanted = found if depth < _RECURSION else {n: found[n] for n in schema.get("required", ()) if n in found}
            return {name: _value(each, root, seed + at, depth + 1) for at, (name, each) in enumerate(wanted.items())}
        case "array":
            count = schema.get("minItems", 0 if depth >= _RECURSION else 2)
            return [_value(schema.get("items", {}), root, seed + at, depth + 1) for at in range(count)]
        case "integer" | "number":
            least = schema.get("minimum", 0)
            return min(least + seed % 100, schema.get("maximum", least + 100))
        case "boolean":
            return seed % 2 == 0
        case "null":
            return None
        case _:
            return f"text {seed % 1000} über".ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength", 1000)]


def _resolve(reference: str, root: Mapping[str, Any]) -> Any:
    found: Any = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        found = found.get(part) if part and isinstance(found, Mapping) else found
    return found
