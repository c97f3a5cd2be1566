"""A chat completion's request as one of the Responses API, by a list of what passes. Pure.

Formats: https://platform.openai.com/docs/api-reference/responses/create, https://platform.openai.com/docs/api-reference/chat.
What is neither on the list nor translated is left out: the API refuses fields that it does not know. docs/providers.md has the
table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from streams.providers.formats.wire import CannotTranslateError

_PASSING: Final = frozenset(
    {"model", "temperature", "top_p", "user", "safety_identifier", "prompt_cache_key", "metadata", "service_tier"}
    | {"parallel_tool_calls", "truncation", "reasoning", "text", "include", "max_tool_calls", "prompt_cache_retention"}
    | {"headrace_sim"}  # of the provider simulator
)


def translate_request(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Raises CannotTranslateError for what would be lost with a difference to the answer, and for what is no chat."""
    _refuse_what_is_lost(payload)
    body = {name: payload[name] for name in payload if name in _PASSING and payload[name] is not None}
    try:
        body["input"] = [item for message in payload["messages"] for item in _items(message)]
    except (KeyError, TypeError, AttributeError):
        raise CannotTranslateError("messages: not those of a chat completion") from None
    limit = payload.get("max_completion_tokens", payload.get("max_tokens"))
    if limit is not None:
        body["max_output_tokens"] = limit
    if isinstance(effort := payload.get("reasoning_effort"), str):
        body["reasoning"] = {"effort": effort} | _table(body.get("reasoning"))
    text = _table(body.get("text"))
    if isinstance(verbosity := payload.get("verbosity"), str):
        text = {"verbosity": verbosity} | text
    if (form := _format(payload.get("response_format"))) is not None:
        text = {"format": form} | text
    if text:
        body["text"] = text
    _set_tools(body, payload)
    return body


def _items(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    role: Any = message["role"]
    content: Any = message.get("content")
    if role == "tool":
        yield {"type": "function_call_output", "call_id": message["tool_call_id"], "output": _text(content)}
        return
    if role == "assistant":
        if content:
            yield {"role": role, "content": _text(content)}
        for call in message.get("tool_calls") or ():
            function = call["function"]
            named = {"call_id": call["id"], "name": function["name"], "arguments": function["arguments"]}
            yield {"type": "function_call", **named}
        return
    if role not in ("user", "system", "developer"):
        raise CannotTranslateError(f"messages: the role {str(role)[:40]!r} is none of a chat completion")
    yield {"role": role, "content": content if isinstance(content, str) else [_part(part) for part in content]}


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    parts = [_part(part) for part in content]
    if any(part["type"] != "input_text" for part in parts):
        raise CannotTranslateError("messages: only texts in answers of the assistant and of tools")
    return "".join(part["text"] for part in parts)


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    kind = part["type"]
    if kind in ("text", "refusal"):
        return {"type": "input_text", "text": part["refusal" if kind == "refusal" else "text"]}
    if kind == "image_url":
        image = part["image_url"]
        detail = {"detail": image["detail"]} if image.get("detail") else {}
        return {"type": "input_image", "image_url": image["url"], **detail}
    if kind == "file":
        return {"type": "input_file", **part["file"]}
    raise CannotTranslateError(f"messages: a part of the type {str(kind)[:40]!r} cannot be translated")


def _format(form: Any) -> dict[str, Any] | None:
    if not isinstance(form, dict):
        return None
    if form.get("type") == "json_schema":
        return {"type": "json_schema", **_table(form.get("json_schema"))}
    return {"type": form.get("type")}


def _set_tools(body: dict[str, Any], payload: Mapping[str, Any]) -> None:
    """Functions only; `strict` is off unless the caller says so, as it is in chat completions."""
    tools = payload.get("tools")
    if isinstance(tools, list) and tools:
        if not all(isinstance(tool, dict) and isinstance(tool.get("function"), dict) for tool in tools):
            raise CannotTranslateError("tools: only functions can be translated")
        body["tools"] = [{"type": "function", "strict": False, **tool["function"]} for tool in tools]
    choice = payload.get("tool_choice")
    if isinstance(choice, dict) and isinstance(choice.get("function"), dict):
        body["tool_choice"] = {"type": "function", "name": choice["function"].get("name")}
    elif choice is not None:
        body["tool_choice"] = choice


_LOST: Final = (
    *("stop", "logprobs", "logit_bias", "audio", "functions", "function_call", "frequency_penalty", "presence_penalty"),
    *("web_search_options", "prediction"),
)


def _refuse_what_is_lost(payload: Mapping[str, Any]) -> None:
    lost = [name for name in _LOST if payload.get(name)]
    lost += ["n"] if payload.get("n") not in (None, 1) else []
    lost += ["modalities"] if payload.get("modalities") not in (None, ["text"]) else []
    if lost:
        raise CannotTranslateError(f"{lost[0]}: the Responses format has nothing like it; leave it out")


def _table(given: Any) -> dict[str, Any]:
    return given if isinstance(given, dict) else {}


def encode(payload: Mapping[str, Any], *, stream: bool, background: bool) -> bytes:
    """The body. In the background only where the caller does not forbid that the answer is kept: without that there is none."""
    body = translate_request(payload)
    body["store"] = background and stream and payload.get("store") is not False
    if stream:
        body["stream"] = True
    if body["store"]:
        body["background"] = True
    return orjson.dumps(body)
