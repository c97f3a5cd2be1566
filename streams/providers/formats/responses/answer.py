"""A response of the Responses API as a chat completion. Pure.

Formats: https://platform.openai.com/docs/api-reference/responses/object, https://platform.openai.com/docs/api-reference/chat/object.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from streams.providers.failures import failure_of
from streams.providers.formats.error_bodies import Said, read_error_value
from streams.providers.formats.wire import Failure, unusable

_ENDED: Final = ("completed", "incomplete", None)
_REASONS: Final[Mapping[Any, str]] = {"max_output_tokens": "length", "content_filter": "content_filter"}


def usage_of(response: Mapping[str, Any]) -> dict[str, Any] | None:
    """Its usage in the words of a chat completion."""
    given = response.get("usage")
    if not isinstance(given, dict):
        return None
    usage = {
        "prompt_tokens": given.get("input_tokens"),
        "completion_tokens": given.get("output_tokens"),
        "total_tokens": given.get("total_tokens"),
        "prompt_tokens_details": given.get("input_tokens_details"),
        "completion_tokens_details": given.get("output_tokens_details"),
        "service_tier": response.get("service_tier"),
    }
    return {name: value for name, value in usage.items() if value is not None}


def finish_reason(response: Mapping[str, Any], *, calls: bool) -> str:
    if response.get("status") == "incomplete":
        details = response.get("incomplete_details")
        return _REASONS.get(details.get("reason") if isinstance(details, dict) else None, "length")
    return "tool_calls" if calls else "stop"


def failure_in(response: Mapping[str, Any], headers: Mapping[str, str]) -> Failure | None:
    """Why a response that ended is no answer."""
    status, error = response.get("status"), response.get("error")
    if status in _ENDED and not error:
        return None
    if status in ("queued", "in_progress"):
        return unusable(f"the provider's answer is not there yet: {status}")
    said = read_error_value(error) if error else Said(f"the response is {status}")
    return failure_of(200, said, headers)


def completion_of(response: Mapping[str, Any]) -> dict[str, Any] | None:
    """The chat completion that it says; None where it has no output, as with servers that send it in events alone."""
    texts: list[str] = []
    refusals: list[str] = []
    thoughts: list[str] = []
    calls: list[dict[str, Any]] = []
    output = response.get("output")
    for item in output if isinstance(output, list) else ():
        kind = item.get("type") if isinstance(item, dict) else None
        if kind == "message":
            for part in item.get("content") or ():
                texts += [part["text"]] if isinstance(part.get("text"), str) else []
                refusals += [part["refusal"]] if isinstance(part.get("refusal"), str) else []
        elif kind == "function_call":
            function = {"name": item.get("name"), "arguments": item.get("arguments")}
            calls.append({"id": item.get("call_id") or item.get("id"), "type": "function", "function": function})
        elif kind == "reasoning":
            thoughts += [part["text"] for part in item.get("summary") or () if isinstance(part.get("text"), str)]
    if not texts and not refusals and not calls:
        return None
    message: dict[str, Any] = {"role": "assistant", "content": "".join(texts) if texts else None}
    if refusals:
        message["refusal"] = "".join(refusals)
    if thoughts:
        message["reasoning_content"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    choice = {"index": 0, "message": message, "finish_reason": finish_reason(response, calls=bool(calls))}
    usage = usage_of(response)
    return {**head_of(response), "object": "chat.completion", "choices": [choice]} | ({"usage": usage} if usage else {})


def head_of(response: Mapping[str, Any]) -> dict[str, Any]:
    """What its chunks and its completion share."""
    created = response.get("created_at")
    return {
        "id": str(response.get("id")),
        "created": int(created) if isinstance(created, int | float) else 0,
        "model": str(response.get("model")),
    }
