"""A request of the Messages API as a chat completion's payload. Pure.

The fleet decides later which provider serves it, so the payload is in the common format; what only Anthropic's own models take
(`thinking`, marks for the prompt cache, tools that run there) is kept for models whose name says so, and translated or
left out for others. Formats: https://docs.claude.com/en/api/messages, https://platform.openai.com/docs/api-reference/chat.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from streams.front.anthropic.conversation import chat_messages
from streams.front.problems import ProblemError, invalid

_SAME: Final = ("model", "temperature", "top_p", "top_k", "headrace_sim")
"""Fields that mean the same in both formats; the last is the provider simulator's."""

_NATIVE: Final = (
    "thinking",
    "container",
    "context_management",
    "mcp_servers",
    "cache_control",
    "inference_geo",
    "speed",
)
"""Fields of the API that its own models alone take."""

_CHOICES: Final[Mapping[str, str]] = {"auto": "auto", "any": "required", "none": "none"}
_TIERS: Final[Mapping[str, str]] = {"standard_only": "default"}
_EFFORTS: Final[Mapping[str, str]] = {"max": "xhigh"}
"""Of `output_config.effort`; all others have the same name as `reasoning_effort`."""
_EFFORT_OF_BUDGET: Final = ((2048, "low"), (8192, "medium"))
"""Tokens of thinking up to which an effort stands for a budget; beyond them it is high."""


def chat_payload(asked: Mapping[str, Any], *, counts: bool = False) -> dict[str, Any]:
    """`asked`: the body of POST /v1/messages, or with `counts` of /v1/messages/count_tokens, which bounds no answer.

    Raises ProblemError that names the field.
    """
    model, messages, most = asked.get("model"), asked.get("messages"), asked.get("max_tokens")
    if not isinstance(model, str) or not model:
        raise _wrong("model", "a model's name is required")
    if not isinstance(messages, list) or not messages:
        raise _wrong("messages", "a list of at least one message is required")
    if not counts and (type(most) is not int or most < 1):
        raise _wrong("max_tokens", "a whole number of at least 1 is required")
    native = "claude" in model.lower()
    payload = {name: asked[name] for name in _SAME if asked.get(name) is not None}
    payload["messages"] = chat_messages(asked.get("system"), messages, native=native)
    if most is not None:
        payload["max_tokens"] = most
    if stops := asked.get("stop_sequences"):
        payload["stop"] = stops
    if native:
        payload |= {name: asked[name] for name in _NATIVE if asked.get(name) is not None}
    _set_tools(payload, asked, native=native)
    _set_output(payload, asked, native=native)
    _set_labels(payload, asked)
    if asked.get("stream") is True:
        payload |= {"stream": True, "stream_options": {"include_usage": True}}
    return payload


def _wrong(name: str, what: str) -> ProblemError:
    return ProblemError(invalid(f"{name}: {what}", param=name))


def _set_tools(payload: dict[str, Any], asked: Mapping[str, Any], *, native: bool) -> None:
    tools = asked.get("tools")
    if tools:
        if not isinstance(tools, list):
            raise _wrong("tools", "a list of tools")
        payload["tools"] = [_tool(tool, index, native=native) for index, tool in enumerate(tools)]
    choice = asked.get("tool_choice")
    if choice is None:
        return
    kind = choice.get("type") if isinstance(choice, dict) else None
    if kind == "tool" and isinstance(choice.get("name"), str):
        payload["tool_choice"] = {"type": "function", "function": {"name": choice["name"]}}
    elif isinstance(kind, str) and kind in _CHOICES:
        payload["tool_choice"] = _CHOICES[kind]
    else:
        raise _wrong("tool_choice", "its type is auto, any, none, or tool with a name")
    if choice.get("disable_parallel_tool_use") is True:
        payload["parallel_tool_calls"] = False


def _tool(tool: Any, index: int, *, native: bool) -> dict[str, Any]:
    where = f"tools.{index}"
    if not isinstance(tool, dict):
        raise _wrong(where, "not a tool")
    kind = tool.get("type")
    if kind not in (None, "custom"):
        if native:
            return tool
        raise _wrong(where, f"a tool of type {str(kind)[:40]!r} runs with Anthropic's own models alone")
    if not isinstance(tool.get("name"), str) or not isinstance(tool.get("input_schema"), dict):
        raise _wrong(where, "a name and an input_schema are required")
    function = {"name": tool["name"], "parameters": tool["input_schema"]}
    function |= {name: tool[name] for name in ("description", "strict") if tool.get(name) is not None}
    mark = {"cache_control": tool["cache_control"]} if native and isinstance(tool.get("cache_control"), dict) else {}
    return {"type": "function", "function": function} | mark


def _set_output(payload: dict[str, Any], asked: Mapping[str, Any], *, native: bool) -> None:
    """The answer's schema and the effort. `output_format` is what `output_config.format` was called in beta."""
    config = asked.get("output_config")
    config = config if isinstance(config, dict) else {}
    form = config.get("format") or asked.get("output_format")
    if form is not None:
        schema = form.get("schema") if isinstance(form, dict) and form.get("type") == "json_schema" else None
        if not isinstance(schema, dict):
            raise _wrong("output_config.format", "its type is json_schema, with a schema")
        named = {"name": "answer", "schema": schema, "strict": True}
        payload["response_format"] = {"type": "json_schema", "json_schema": named}
    effort = config.get("effort")
    if isinstance(effort, str):
        payload["reasoning_effort"] = effort if native else _EFFORTS.get(effort, effort)
    elif not native and (asked_for := _effort_of(asked.get("thinking"))):
        payload["reasoning_effort"] = asked_for


def _effort_of(thinking: Any) -> str | None:
    kind = thinking.get("type") if isinstance(thinking, dict) else None
    if kind == "adaptive":
        return "medium"
    budget = thinking.get("budget_tokens") if kind == "enabled" else None
    if type(budget) is not int:
        return None
    return next((effort for most, effort in _EFFORT_OF_BUDGET if budget <= most), "high")


def _set_labels(payload: dict[str, Any], asked: Mapping[str, Any]) -> None:
    metadata = asked.get("metadata")
    user = metadata.get("user_id") if isinstance(metadata, dict) else None
    if isinstance(user, str) and user:
        payload["user"] = user
    tier = asked.get("service_tier")
    if isinstance(tier, str):
        payload["service_tier"] = _TIERS.get(tier, tier)
