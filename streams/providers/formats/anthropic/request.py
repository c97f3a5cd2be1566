"""A chat completion's request as a request of the Messages API, by a list of what passes. Pure.

Formats: https://docs.claude.com/en/api/messages, https://platform.openai.com/docs/api-reference/chat. What is neither on the list
nor translated is left out: the API refuses fields that it does not know. docs/providers.md has the table.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from streams.providers.formats.anthropic.messages import Conversation
from streams.providers.formats.anthropic.models import rules_of
from streams.providers.formats.anthropic.parts import Block, text_blocks
from streams.providers.formats.anthropic.schemas import answer_schema
from streams.providers.formats.anthropic.thinking import effort_of, set_thinking
from streams.providers.formats.anthropic.tools import set_tools
from streams.providers.formats.wire import CannotTranslateError

_PASSING: Final = frozenset(
    {"model", "max_tokens", "temperature", "top_p", "top_k", "thinking", "output_config", "cache_control", "container"}
    | {"context_management", "mcp_servers", "inference_geo", "speed", "fallbacks", "diagnostics"}
    | {"headrace_sim"}  # of the provider simulator
)
"""Fields of the API that a caller may write into a request, as they are. Those in beta need their header, which
`endpoints[].headers` sends.
"""

_TIERS: Final[Mapping[str, str]] = {
    "auto": "auto",
    "priority": "auto",
    "default": "standard_only",
    "standard_only": "standard_only",
}
_USER_ID_CHARS: Final = 256
_PERSONAL: Final = re.compile(r".*\S@\S+\.\S.*|\+?[\d\s().-]{7,20}", re.DOTALL)
"""Mail addresses and telephone numbers, which the API refuses as a user's id."""

_MOST_MARKS: Final = 4
"""Marks for the prompt cache in a request: https://docs.claude.com/en/docs/build-with-claude/prompt-caching."""


def translate_request(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Raises CannotTranslateError for what would be lost with a difference to the answer, and for what is no chat."""
    _refuse_what_is_lost(payload)
    chat = Conversation(payload["messages"])
    rules = rules_of(payload["model"])
    body = {name: payload[name] for name in payload if name in _PASSING and payload[name] is not None}
    system = [*_own_system(payload.get("system")), *chat.system]
    if system:
        body["system"] = system
    if (limit := payload.get("max_completion_tokens")) is not None:
        body["max_tokens"] = limit
    if stops := _stops(payload):
        body["stop_sequences"] = stops
    _set_labels(body, payload)
    _set_format(body, payload.get("response_format"))
    forced = set_tools(body, payload, chat.tool_names)
    set_thinking(body, effort_of(payload, rules), rules, forced=forced, lost=chat.lost_its_thoughts)
    thinks = body.get("thinking", {}).get("type") in ("enabled", "adaptive")
    _set_sampling(body, thinks=thinks, taken=rules.sampling)
    if chat.ends_with_assistant and (thinks or not rules.prefill or "format" in body.get("output_config", ())):
        chat.end_with_user()
    body["messages"] = chat.messages()
    _keep_most_marks(body)
    return body


def _own_system(given: Any) -> list[Block]:
    try:
        return text_blocks(given)
    except (KeyError, TypeError, AttributeError):
        raise CannotTranslateError("system: a text or a list of text blocks") from None


def _stops(payload: Mapping[str, Any]) -> list[str]:
    """Those of white space only are left out: the API refuses them."""
    stops: list[str] = []
    for name in ("stop", "stop_sequences"):
        given = payload.get(name) or ()
        given = [given] if isinstance(given, str) else given
        if not isinstance(given, list | tuple) or not all(isinstance(each, str) for each in given):
            raise CannotTranslateError(f"{name}: a text or a list of texts")
        stops += [each for each in given if each.strip()]
    return stops


def _set_labels(body: dict[str, Any], payload: Mapping[str, Any]) -> None:
    metadata = payload.get("metadata")
    users = (
        metadata.get("user_id") if isinstance(metadata, dict) else None,
        *map(payload.get, ("user", "safety_identifier")),
    )
    user = next((each for each in users if isinstance(each, str) and each), None)
    if user is not None:
        if len(user) > _USER_ID_CHARS or _PERSONAL.fullmatch(user):
            user = hashlib.sha256(user.encode()).hexdigest()  # the API asks for a hash where an id would say who it is
        body["metadata"] = {"user_id": user}
    tier = payload.get("service_tier")
    if isinstance(tier, str) and tier in _TIERS:
        body["service_tier"] = _TIERS[tier]


def _set_format(body: dict[str, Any], form: Any) -> None:
    config = body.get("output_config")
    if not isinstance(config, dict):
        body.pop("output_config", None)
        config = {}
    if isinstance(form, dict) and form.get("type") == "json_schema":
        given = form.get("json_schema")
        schema = given.get("schema") if isinstance(given, dict) else None
        if not isinstance(schema, dict):
            raise CannotTranslateError("response_format: json_schema needs its schema")
        body["output_config"] = {"format": {"type": "json_schema", "schema": answer_schema(schema)}} | config


def _set_sampling(body: dict[str, Any], *, thinks: bool, taken: bool) -> None:
    """The newest models take none of these, those before them temperature or top_p, and while they think only a high top_p."""
    temperature, top_p = body.get("temperature"), body.get("top_p")
    if isinstance(temperature, int | float):
        body["temperature"] = max(0.0, min(temperature, 1.0))
    if not taken or thinks:
        body.pop("temperature", None)
        body.pop("top_k", None)
        if not taken or not isinstance(top_p, int | float) or not 0.95 <= top_p <= 1:
            body.pop("top_p", None)
    elif temperature is not None and top_p is not None:
        del body["temperature" if temperature == 1 else "top_p"]


def _keep_most_marks(body: Mapping[str, Any]) -> None:
    """Drop the marks beyond what the API takes: the oldest of the messages first, whose prefixes the later ones hold."""
    marked = [block for block in _blocks(body) if "cache_control" in block]
    room = _MOST_MARKS - ("cache_control" in body)
    for block in marked[: max(0, len(marked) - room)]:
        del block["cache_control"]


def _blocks(body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """All that can have a mark, in the order in which marks are given up."""
    for message in body["messages"]:
        for block in message["content"]:
            yield block
            if block["type"] == "tool_result":
                yield from block.get("content", ())
    yield from body.get("system", ())
    yield from body.get("tools", ())


_MAY_BE_LOST: Final = frozenset(
    {
        "response_format",
        "n",
        "logprobs",
        "logit_bias",
        "modalities",
        "audio",
        "web_search_options",
        "functions",
        "function_call",
    }
)


def _refuse_what_is_lost(payload: Mapping[str, Any]) -> None:
    if _MAY_BE_LOST.isdisjoint(payload):
        return
    form = payload.get("response_format")
    kind = form.get("type") if isinstance(form, dict) else None
    lost = {
        "response_format": kind not in (None, "text", "json_schema"),
        "n": payload.get("n") not in (None, 1),
        "logprobs": bool(payload.get("logprobs")),
        "logit_bias": bool(payload.get("logit_bias")),
        "modalities": payload.get("modalities") not in (None, ["text"]),
        "audio": payload.get("audio") is not None,
        "web_search_options": payload.get("web_search_options") is not None,
        "functions": payload.get("functions") is not None or payload.get("function_call") is not None,
    }
    for name, is_lost in lost.items():
        if is_lost:
            raise CannotTranslateError(f"{name}: the Anthropic format has nothing like it; leave it out")
