"""Thinking: how a request asks for it, and how its blocks come back with the caller's next turn. Pure.

Sources: https://platform.claude.com/docs/en/build-with-claude/extended-thinking, .../adaptive-thinking, .../effort.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from streams.providers.formats.anthropic.models import ModelRules
from streams.providers.formats.wire import CannotTranslateError

CONTENT_FIELD: Final = "anthropic_content"
"""The field of an answered message with all its blocks as they came, where `thinking_blocks`, text and tool calls would not say
their order, or there are blocks of other kinds.
"""

LEAST_BUDGET: Final = 1024
DEFAULT_MAX_TOKENS: Final = 4096
"""Of an answer whose request sets no bound: the API demands one. Thinking with a budget comes on top."""

_EFFORTS: Final[Mapping[str, str]] = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}
_BUDGETS: Final[Mapping[str, int]] = {"low": 1024, "medium": 4096, "high": 16384, "xhigh": 32000, "max": 32000}
"""Tokens of thinking for models that know budgets only; at most 4/5 of what the answer may have."""


def effort_of(payload: Mapping[str, Any], rules: ModelRules) -> str | None:
    """`reasoning_effort` in the API's words. None: nothing is asked for, or that there be none (`none`), which is the default."""
    effort = _EFFORTS.get(asked) if isinstance(asked := payload.get("reasoning_effort"), str) else None
    return "high" if effort in ("xhigh", "max") and not rules.high_efforts else effort


def set_thinking(body: dict[str, Any], effort: str | None, rules: ModelRules, *, forced: bool, lost: bool) -> None:
    """Complete `thinking`, `max_tokens` and `output_config` of a request. The caller's own `thinking` goes before the effort.

    `forced`: a tool must be used; `lost`: the thoughts before the last use of a tool did not come back. The API refuses to think
    in these cases: then the answer is given without. Raises CannotTranslateError where the caller's own budget does not fit into
    its max_tokens.
    """
    own = body.pop("thinking", None)
    asked = isinstance(own, dict) and own.get("type") == "enabled"
    bound = body.get("max_tokens")
    thinking = _as_taken(own, effort, rules, bound) if isinstance(own, dict) else _thinking_of(effort, rules, bound)
    if effort is not None and rules.efforts:
        body["output_config"] = {"effort": effort} | body.get("output_config", {})
    kind = thinking.get("type")
    if (forced and kind in ("enabled", "adaptive")) or (lost and kind == "enabled"):
        thinking, kind = {}, None
    budget = thinking.get("budget_tokens")
    if kind == "enabled" and type(budget) is int:
        if bound is None:
            bound = budget + DEFAULT_MAX_TOKENS
        elif type(bound) is int and bound <= LEAST_BUDGET:
            if asked:
                raise CannotTranslateError(f"thinking: needs max_tokens above {LEAST_BUDGET}, and it is {bound}")
            thinking = {}
        elif type(bound) is int:
            thinking = thinking | {"budget_tokens": min(budget, bound - 1)}
    body["max_tokens"] = DEFAULT_MAX_TOKENS if bound is None else bound
    if thinking:
        body["thinking"] = thinking


def _as_taken(own: dict[str, Any], effort: str | None, rules: ModelRules, bound: Any) -> dict[str, Any]:
    """The caller's own `thinking` in the form that this model takes: a chat may come to another model than it was written for."""
    kind = own.get("type")
    display = {name: own[name] for name in ("display",) if own.get(name) is not None}
    if kind == "enabled" and rules.adaptive and not rules.budgets:
        return {"type": "adaptive"} | display
    if kind == "adaptive" and rules.budgets and not rules.adaptive:
        return _thinking_of(effort or "medium", rules, bound) | display
    return own if rules.thinks else {}


def _thinking_of(effort: str | None, rules: ModelRules, bound: Any) -> dict[str, Any]:
    if effort is None or not (rules.adaptive or rules.budgets):
        return {}
    if rules.adaptive:
        return {"type": "adaptive"}
    budget = _BUDGETS[effort]
    if type(bound) is int:
        budget = max(LEAST_BUDGET, min(budget, bound * 4 // 5))
    return {"type": "enabled", "budget_tokens": budget}


def returned_blocks(message: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The blocks of an assistant's message that the caller returns as it got it. None: it has none, or its text or its tool calls
    are others now, so that they would not be what the caller says.
    """
    given = message.get(CONTENT_FIELD)
    if not isinstance(given, list) or not all(isinstance(block, dict) for block in given):
        return None
    text = "".join(block.get("text") or "" for block in given if block.get("type") == "text")
    ids = [block.get("id") for block in given if block.get("type") == "tool_use"]
    if text != (message.get("content") or "") or ids != [call.get("id") for call in message.get("tool_calls") or ()]:
        return None
    blocks = [{name: value for name, value in block.items() if value is not None} for block in given]
    return [block for block in blocks if block.get("type") != "text" or str(block.get("text", "")).strip()]
