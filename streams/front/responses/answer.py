"""A response of the Responses API: one that waits, and one of a chat completion. Pure.

Object: https://platform.openai.com/docs/api-reference/responses/object. A whole completion goes through the same events as a
stream, so that both give the same response.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import orjson

from streams.front.partial import Partial, chunks_with
from streams.front.problems import Problem
from streams.front.responses.events import ResponseEvents

Status = Literal["queued", "in_progress", "cancelled"]

_DEFAULTS: Final[Mapping[str, Any]] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "reasoning": {"effort": None, "summary": None},
    "service_tier": "auto",
    "store": True,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
"""What a response says again of its request. What is read from the log has these: the log has the answer alone."""


def open_response(response_id: str, created_at: int, status: Status, asked: Mapping[str, Any]) -> dict[str, Any]:
    """A response that has no output yet. `asked`: its request, as far as it is known. `created_at`: Unix time in seconds."""
    said = {name: asked[name] for name in _DEFAULTS if asked.get(name) is not None}
    return {
        "id": response_id,
        "object": "response",
        "created_at": created_at,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": asked.get("model"),
        "output": [],
        "previous_response_id": None,
        "usage": None,
        **_DEFAULTS,
        **said,
    }


def events_of(completion: Mapping[str, Any], opened: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All events of a whole completion."""
    events = ResponseEvents(opened)
    choices = Partial().missing(Partial.of(completion)) or []
    found = [event for chunk in chunks_with(choices, completion) for event in events.take(orjson.loads(chunk))]
    return found + events.end(completion)


def response_of(completion: Mapping[str, Any], opened: Mapping[str, Any]) -> dict[str, Any]:
    """The response that the events of this completion end with. `opened`: from `open_response`."""
    response: dict[str, Any] = events_of(completion, opened)[-1]["response"]
    return response


def failed_response(problem: Problem, opened: Mapping[str, Any]) -> dict[str, Any]:
    response: dict[str, Any] = ResponseEvents(opened).fail(problem)[-1]["response"]
    return response
