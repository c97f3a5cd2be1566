"""An answer that goes on behind a partial one: `continue_final_message` of vLLM's chat completions. Pure.

The text is the one that the same request without its partial answer gets, from where that stops; behind a partial answer that is
no beginning of it, it is a text of its own. https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html
"""

from __future__ import annotations

import math
from typing import Any, Final

from ops.provider_sim.answers import BYTES_PER_TOKEN, BadRequestError, ChatTokens, chat_text, chat_tokens
from ops.provider_sim.settings import Hint

_FLAGS: Final = frozenset({"continue_final_message", "add_generation_prompt"})


def partial_of(body: dict[str, Any]) -> str | None:
    """The partial answer that is to be continued; None where nothing is.

    Raises:
        BadRequestError: the two flags exclude each other, and the last message must be the assistant's.
    """
    if not body.get("continue_final_message"):
        return None
    if body.get("add_generation_prompt", True):
        raise BadRequestError("Cannot set both `continue_final_message` and `add_generation_prompt` to True.")
    messages = body.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    if not isinstance(last, dict) or last.get("role") != "assistant" or not isinstance(last.get("content"), str):
        raise BadRequestError("continue_final_message: the last message must be one of the assistant with a text")
    text: str = last["content"]
    return text


def without_partial(body: dict[str, Any]) -> dict[str, Any]:
    """The request whose answer the partial one is a beginning of."""
    return {name: value for name, value in body.items() if name not in _FLAGS} | {"messages": body["messages"][:-1]}


def continued(body: dict[str, Any], hint: Hint, partial: str, least_bytes: int) -> tuple[ChatTokens, str]:
    """Sizes and text of what follows the partial answer; `max_tokens` is of that alone.

    Raises:
        BadRequestError: as `chat_tokens`.
    """
    whole = without_partial(body)
    limit = whole.pop("max_completion_tokens", None)
    limit = whole.pop("max_tokens", None) if limit is None else limit
    if not whole["messages"]:
        raise BadRequestError("messages must be a list of at least one message")
    tokens = chat_tokens(whole, hint)
    text = chat_text(whole, tokens, least_bytes)
    rest = text[len(partial) :] if text.startswith(partial) else chat_text(body, tokens, least_bytes)
    wanted = math.ceil(len(rest) / BYTES_PER_TOKEN)
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise BadRequestError("max_tokens must be an integer of at least 1")
    made = wanted if limit is None else min(limit, wanted)
    prompt = tokens.prompt + math.ceil(len(partial) / BYTES_PER_TOKEN)
    return ChatTokens(prompt, made, cut=made < wanted), rest[: made * BYTES_PER_TOKEN]
