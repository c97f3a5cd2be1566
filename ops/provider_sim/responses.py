"""The Responses format of the simulator: an answer as a response object, and its typed events. Pure.

Format: https://platform.openai.com/docs/api-reference/responses, .../responses-streaming.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from ops.provider_sim.answers import BadRequestError
from ops.provider_sim.events import event, pieces

Event = tuple[int, bytes]
"""Tokens that were made up to it, and the event on the wire."""

_STATUS: Final = {"length": "incomplete"}


def as_chat(body: Mapping[str, Any]) -> dict[str, Any]:
    """The request as a chat, as far as its answer depends on it.

    Raises:
        BadRequestError: no input, or one of another shape.
    """
    given = body.get("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) and given else given
    if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
        raise BadRequestError("input must be a text or a list of items, and not empty")
    if isinstance(body.get("instructions"), str):
        items = [{"role": "system", "content": body["instructions"]}, *items]
    chat: dict[str, Any] = {"model": body["model"], "messages": items}
    if body.get("max_output_tokens") is not None:
        chat["max_tokens"] = body["max_output_tokens"]
    tools = [{"type": "function", "function": tool} for tool in body.get("tools") or () if isinstance(tool, dict)]
    choice = body.get("tool_choice")
    if tools:
        chat["tools"] = tools
    if isinstance(choice, dict):
        chat["tool_choice"] = {"type": "function", "function": {"name": choice.get("name")}}
    elif choice is not None:
        chat["tool_choice"] = choice
    return chat


def response_of(completion: Mapping[str, Any], response_id: str, *, background: bool) -> dict[str, Any]:
    """A chat completion as a response that has ended."""
    choice, usage = completion["choices"][0], completion["usage"]
    message = choice["message"]
    output: list[dict[str, Any]] = []
    if message["content"] is not None:
        output.append(_message(response_id, message["content"]))
    for place, call in enumerate(message.get("tool_calls") or ()):
        output.append(
            {
                "type": "function_call",
                "id": f"fc_{response_id}_{place}",
                "call_id": call["id"],
                "name": call["function"]["name"],
                "arguments": call["function"]["arguments"],
                "status": "completed",
            }
        )
    cut = choice["finish_reason"] == "length"
    return {
        **_opened(completion, response_id, background=background),
        "status": _STATUS.get(choice["finish_reason"], "completed"),
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "output": output,
        "usage": {
            "input_tokens": usage["prompt_tokens"],
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": usage["completion_tokens"],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage["total_tokens"],
        },
    }


def response_events(response: Mapping[str, Any], tokens: int) -> Iterator[Event]:
    """The events of a response, numbered from 0; a token each between those that open and close."""
    opened = {**response, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    number = made = 0

    def told(kind: str, **more: Any) -> Event:
        nonlocal number
        number += 1
        return made, event(kind, sequence_number=number - 1, **more)

    yield told("response.created", response=opened)
    yield told("response.in_progress", response=opened)
    for index, item in enumerate(response["output"]):
        at = {"item_id": item["id"], "output_index": index}
        if item["type"] == "message":
            text, part_at = item["content"][0]["text"], at | {"content_index": 0}
            yield told("response.output_item.added", output_index=index, item=item | {"content": []})
            yield told("response.content_part.added", **part_at, part=_part(""))
            for piece in pieces(text):
                made = min(tokens, made + 1)
                yield told("response.output_text.delta", **part_at, delta=piece, logprobs=[])
            yield told("response.output_text.done", **part_at, text=text, logprobs=[])
            yield told("response.content_part.done", **part_at, part=_part(text))
        else:
            yield told("response.output_item.added", output_index=index, item=item | {"arguments": ""})
            for piece in pieces(item["arguments"]):
                made = min(tokens, made + 1)
                yield told("response.function_call_arguments.delta", **at, delta=piece)
            yield told("response.function_call_arguments.done", **at, arguments=item["arguments"])
        yield told("response.output_item.done", output_index=index, item=item)
    made = tokens
    yield told(f"response.{response['status']}", response=response)


def cancelled_of(response: Mapping[str, Any]) -> dict[str, Any]:
    """The response as it is once it was cancelled."""
    return {**response, "status": "cancelled", "output": [], "usage": None, "incomplete_details": None}


def _opened(completion: Mapping[str, Any], response_id: str, *, background: bool) -> dict[str, Any]:
    return {
        "id": response_id,
        "object": "response",
        "created_at": completion["created"],
        "model": completion["model"],
        "background": background,
        "error": None,
    }


def _message(response_id: str, text: str) -> dict[str, Any]:
    return {
        "type": "message",
        "id": f"msg_{response_id}",
        "role": "assistant",
        "status": "completed",
        "content": [_part(text)],
    }


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def number_of(event_bytes: bytes) -> int:
    """The sequence number of an event on the wire."""
    data = event_bytes.partition(b"data: ")[2]
    found: int = orjson.loads(data)["sequence_number"]
    return found
