"""A request of the Responses API as a chat completion's payload. Pure.

Formats: https://platform.openai.com/docs/api-reference/responses/create, https://platform.openai.com/docs/api-reference/chat/create.
What would need memory of earlier responses, or tools that run at OpenAI, is refused in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from streams.front.problems import ProblemError, invalid
from streams.front.responses.items import chat_messages

_SAME: Final = (
    *("model", "temperature", "top_p", "top_logprobs", "parallel_tool_calls", "user", "safety_identifier"),
    *("prompt_cache_key", "service_tier", "headrace_sim"),
)
"""Fields that mean the same in both formats; the last is the provider simulator's."""

_STORED: Final[Mapping[str, str]] = {
    "previous_response_id": "send the conversation as input",
    "conversation": "send the conversation as input",
    "prompt": "send the prompt's text as input",
}
"""Fields that name what is kept at OpenAI, and what to do instead."""


def chat_payload(asked: Mapping[str, Any]) -> dict[str, Any]:
    """`asked`: the body of POST /v1/responses. Raises ProblemError that names the field."""
    for name, instead in _STORED.items():
        if asked.get(name) is not None:
            raise ProblemError(invalid(f"{name} is not served here: {instead}", code="unsupported_value", param=name))
    model = asked.get("model")
    if not isinstance(model, str) or not model:
        raise _wrong("model", "a model's name is required")
    payload = {name: asked[name] for name in _SAME if asked.get(name) is not None}
    if "top_logprobs" in payload:
        payload["logprobs"] = True
    messages = chat_messages(asked.get("input"), native="claude" in model.lower())
    if (instructions := asked.get("instructions")) is not None:
        if not isinstance(instructions, str):
            raise _wrong("instructions", "a text")
        messages.insert(0, {"role": "system", "content": instructions})
    payload["messages"] = messages
    if (most := asked.get("max_output_tokens")) is not None:
        if type(most) is not int or most < 1:
            raise _wrong("max_output_tokens", "a whole number of at least 1")
        payload["max_completion_tokens"] = most
    reasoning = asked.get("reasoning")
    if isinstance(reasoning, dict) and isinstance(effort := reasoning.get("effort"), str):
        payload["reasoning_effort"] = effort
    _set_text(payload, asked.get("text"))
    _set_tools(payload, asked)
    if asked.get("stream") is True:
        payload |= {"stream": True, "stream_options": {"include_usage": True}}
    return payload


def _wrong(name: str, what: str) -> ProblemError:
    return ProblemError(invalid(f"{name}: {what}", param=name))


def _set_text(payload: dict[str, Any], text: Any) -> None:
    if text is None:
        return
    if not isinstance(text, dict):
        raise _wrong("text", "an object")
    if isinstance(verbosity := text.get("verbosity"), str):
        payload["verbosity"] = verbosity
    form = text.get("format")
    if form is None:
        return
    kind = form.get("type") if isinstance(form, dict) else None
    if kind == "json_schema":
        if not isinstance(form.get("schema"), dict):
            raise _wrong("text.format", "a json_schema needs its schema")
        named = {name: form[name] for name in ("name", "description", "schema", "strict") if form.get(name) is not None}
        payload["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer"} | named}
    elif kind == "json_object":
        payload["response_format"] = {"type": "json_object"}
    elif kind != "text":
        raise _wrong("text.format", "its type is text, json_object or json_schema")


def _set_tools(payload: dict[str, Any], asked: Mapping[str, Any]) -> None:
    tools = asked.get("tools") or []
    if not isinstance(tools, list):
        raise _wrong("tools", "a list of tools")
    if tools:
        payload["tools"] = [_tool(tool, index) for index, tool in enumerate(tools)]
    choice = asked.get("tool_choice")
    if choice is None or (not tools and choice in ("auto", "none")):
        return
    kind = choice.get("type") if isinstance(choice, dict) else None
    if choice in ("auto", "none", "required"):
        payload["tool_choice"] = choice
    elif kind == "function" and isinstance(choice.get("name"), str):
        payload["tool_choice"] = {"type": "function", "function": {"name": choice["name"]}}
    elif kind == "allowed_tools" and isinstance(choice.get("tools"), list):
        named = [_named(tool) for tool in choice["tools"]]
        payload["tool_choice"] = {
            "type": "allowed_tools",
            "allowed_tools": {"mode": choice.get("mode", "auto"), "tools": named},
        }
    else:
        raise _wrong("tool_choice", "auto, none, required, a function by its name, or allowed_tools")


def _named(tool: Any) -> dict[str, Any]:
    if not isinstance(tool, dict) or tool.get("type") != "function" or not isinstance(tool.get("name"), str):
        raise _wrong("tool_choice", "allowed_tools are functions by their names")
    return {"type": "function", "function": {"name": tool["name"]}}


def _tool(tool: Any, index: int) -> dict[str, Any]:
    where = f"tools.{index}"
    kind = tool.get("type") if isinstance(tool, dict) else None
    if kind != "function":
        raise _wrong(where, f"only tools of type function are served here, not {str(kind)[:40]!r}")
    if not isinstance(tool.get("name"), str):
        raise _wrong(where, "a function needs its name")
    given = ("name", "description", "parameters", "strict")
    return {"type": "function", "function": {name: tool[name] for name in given if tool.get(name) is not None}}
