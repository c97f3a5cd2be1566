"""The Anthropic Messages format: what a request needs, and how an answer looks.

Wire format: https://docs.claude.com/en/api/messages, https://docs.claude.com/en/docs/build-with-claude/streaming.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ops.provider_sim.answers import BadRequestError, ChatTokens, body_hash, chat_text
from ops.provider_sim.limits import Verdict, retry_after
from ops.provider_sim.settings import Hint, SimSettings


def check(headers: Mapping[str, str], body: dict[str, Any]) -> None:
    """Raise BadRequestError for what the real one refuses and a translation might forget."""
    if "anthropic-version" not in headers:
        raise BadRequestError("anthropic-version: header is required")
    if not isinstance(body.get("max_tokens"), int):
        raise BadRequestError("max_tokens: field required")
    for index, message in enumerate(body.get("messages") or ()):
        if not isinstance(message, dict) or message.get("role") not in ("user", "assistant"):
            raise BadRequestError(f'messages.{index}.role: must be "user" or "assistant"')
    if body["messages"][0]["role"] != "user":
        raise BadRequestError("messages: first message must use the user role")


def as_chat(body: dict[str, Any]) -> dict[str, Any]:
    """What its tokens are counted from: the system prompt is a message too."""
    system = body.get("system")
    messages = [*([{"role": "system", "content": system}] if system else []), *(body.get("messages") or [])]
    return {"messages": messages, "max_tokens": body.get("max_tokens")}


def answer(body: dict[str, Any], tokens: ChatTokens, least_bytes: int) -> dict[str, Any]:
    """A text; or, where `tool_choice` demands a tool, its use with the hash of the body as its one input `seen`."""
    seen = f"{body_hash(body):016x}"
    tool = _demanded_tool(body)
    block: dict[str, Any] = {"type": "text", "text": chat_text(body, tokens, least_bytes)}
    if tool is not None:
        block = {"type": "tool_use", "id": f"toolu_{seen}", "name": tool, "input": {"seen": seen}}
    return {
        "id": f"msg_{seen}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [block],
        "stop_reason": "tool_use" if tool is not None else "max_tokens" if tokens.cut else "end_turn",
        "stop_sequence": None,
        "usage": usage(tokens),
    }


CACHED_SHARE: Final = 0.25
"""Of a prompt, where the settings do not say."""


def usage(tokens: ChatTokens) -> dict[str, int]:
    """`input_tokens` does not count what came from the provider's prompt cache."""
    return {
        "input_tokens": tokens.prompt - tokens.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": tokens.cached,
        "output_tokens": tokens.completion,
    }


def error_answer(status: int, message: str) -> dict[str, Any]:
    kind = {400: "invalid_request_error", 401: "authentication_error", 429: "rate_limit_error", 529: "overloaded_error"}
    return {"type": "error", "error": {"type": kind.get(status, "api_error"), "message": message}}


def limit_headers(settings: SimSettings, verdict: Verdict, now: datetime | None = None) -> dict[str, str]:
    """https://docs.claude.com/en/api/rate-limits, "Response headers"."""
    at = now or datetime.now(UTC)

    def moment(after_s: float) -> str:
        return (at + timedelta(seconds=math.ceil(after_s))).strftime("%Y-%m-%dT%H:%M:%SZ")

    return {
        "anthropic-ratelimit-requests-limit": str(settings.limit_requests),
        "anthropic-ratelimit-requests-remaining": str(verdict.requests_left),
        "anthropic-ratelimit-requests-reset": moment(verdict.requests_reset_s),
        "anthropic-ratelimit-tokens-limit": str(settings.limit_tokens),
        "anthropic-ratelimit-tokens-remaining": str(verdict.tokens_left),
        "anthropic-ratelimit-tokens-reset": moment(verdict.tokens_reset_s),
    } | {name: value for name, value in retry_after(verdict).items() if name == "retry-after"}


def hinted_id(body: dict[str, Any], hint: Hint) -> str | None:
    """The request's id: of the hint, else `metadata.user_id`."""
    if hint.id is not None:
        return hint.id
    metadata = body.get("metadata")
    user = metadata.get("user_id") if isinstance(metadata, dict) else None
    return user if isinstance(user, str) else None


def _demanded_tool(body: dict[str, Any]) -> str | None:
    choice, tools = body.get("tool_choice"), body.get("tools")
    if not isinstance(choice, dict):
        return None
    try:
        if choice.get("type") == "tool":
            return str(choice["name"])
        return str(tools[0]["name"]) if choice.get("type") == "any" and isinstance(tools, list) else None
    except (KeyError, TypeError, IndexError) as error:
        raise BadRequestError("tool_choice: names no tool") from error
