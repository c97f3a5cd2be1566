"""Tools and the choice among them, from the OpenAI to the Anthropic format. Pure.

Tools: https://docs.claude.com/en/docs/agents-and-tools/tool-use/implement-tool-use.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from streams.providers.formats.anthropic.names import NAME_CHARS, legal_name
from streams.providers.formats.anthropic.parts import cache_mark
from streams.providers.formats.anthropic.schemas import input_schema
from streams.providers.formats.wire import CannotTranslateError

_ADDED: Final = ("defer_loading", "allowed_callers", "eager_input_streaming", "input_examples")
"""The API's own fields of a tool, beside a function or in it."""

_CHOICES: Final[Mapping[str, dict[str, Any]]] = {
    "auto": {"type": "auto"},
    "none": {"type": "none"},
    "required": {"type": "any"},
}
_FORCED: Final = frozenset({"any", "tool"})


def set_tools(body: dict[str, Any], payload: Mapping[str, Any], used: Iterable[str]) -> bool:
    """Write `tools` and `tool_choice` of a request; whether a tool must be used. `used`: names of the tools that the chat has
    used, as they are sent to the API.

    Raises CannotTranslateError.
    """
    try:
        tools = _distinct([_tool(tool, index) for index, tool in enumerate(payload.get("tools") or ())])
        choice, allowed = _choice(payload.get("tool_choice"))
    except (KeyError, TypeError, AttributeError):
        raise CannotTranslateError("tools: each needs a type, and a function its name") from None
    if allowed is not None:
        tools = [tool for tool in tools if tool.get("name") in allowed]
    if not tools:
        if choice is not None and choice["type"] in _FORCED:
            raise CannotTranslateError("tool_choice: there is no such tool")
        # a chat that has used tools needs their definitions: these cannot be used again
        unusable = [{"name": name, "input_schema": {"type": "object", "properties": {}}} for name in used]
        if unusable:
            body["tools"], body["tool_choice"] = unusable, {"type": "none"}
        return False
    if choice is not None and choice["type"] == "tool" and all(tool.get("name") != choice["name"] for tool in tools):
        raise CannotTranslateError(f"tool_choice: there is no tool {str(choice['name'])[:64]!r}")
    if payload.get("parallel_tool_calls") is False:
        choice = choice or {"type": "auto"}
        if choice["type"] != "none":
            choice["disable_parallel_tool_use"] = True
    body["tools"] = tools
    if choice is not None:
        body["tool_choice"] = choice
    return choice is not None and choice["type"] in _FORCED


def _tool(tool: dict[str, Any], index: int) -> dict[str, Any]:
    kind = tool.get("type")
    if kind != "function":
        if (kind is None and "input_schema" not in tool) or (kind == "custom" and "custom" in tool):
            raise CannotTranslateError(f"tools.{index}: a tool of type {kind!r} has no place in the Anthropic format")
        return {name: value for name, value in tool.items() if value is not None}  # in the API's own words
    function = tool["function"]
    name = legal_name(function["name"])
    if len(name) > NAME_CHARS or not function["name"]:
        raise CannotTranslateError(f"tools.{index}: a name has 1 to {NAME_CHARS} letters, digits, _ or -")
    try:
        translated = {"name": name, "input_schema": input_schema(function.get("parameters"))}
    except CannotTranslateError as error:
        raise CannotTranslateError(f"tools.{index}: {error}") from None
    if isinstance(described := function.get("description"), str) and described:
        translated["description"] = described
    for holder in (function, tool):
        translated |= {each: holder[each] for each in _ADDED if holder.get(each) is not None}
        translated |= cache_mark(holder)
    return translated


def _distinct(tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each name once, as the API wants it: the same tool given twice is one."""
    by_name: dict[Any, dict[str, Any]] = {}
    for tool in tools:
        name = tool.get("name")
        if by_name.setdefault(name, tool) != tool:
            raise CannotTranslateError(f"tools: two of them have the name {str(name)[:64]!r}")
    return tools if len(by_name) == len(tools) else list(by_name.values())


def _choice(choice: Any) -> tuple[dict[str, Any] | None, frozenset[str] | None]:
    """The choice, and the names that it is among where it says so."""
    if choice is None:
        return None, None
    if isinstance(choice, str) and choice in _CHOICES:
        return dict(_CHOICES[choice]), None
    kind = choice.get("type") if isinstance(choice, dict) else None
    if kind in ("auto", "any", "none") or (kind == "tool" and isinstance(choice.get("name"), str)):
        return dict(choice), None  # in the API's own words
    if kind == "function":
        return {"type": "tool", "name": legal_name(choice["function"]["name"])}, None
    if kind == "allowed_tools":
        given = choice["allowed_tools"]
        names = frozenset(legal_name(tool["function"]["name"]) for tool in given["tools"])
        return dict(_CHOICES[given.get("mode", "auto")]), names
    raise CannotTranslateError("tool_choice: auto, none, required, or a function by name")
