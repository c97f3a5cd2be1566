"""A chat completion's request that goes on behind a partial answer: `continue_final_message` of vLLM. Pure.

https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html; SGLang, Aphrodite and llama.cpp take the same two fields.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from streams.kept import Kept

_GUIDED: Final = (
    *(
        "structured_outputs",
        "guided_json",
        "guided_regex",
        "guided_choice",
        "guided_grammar",
        "guided_decoding_backend",
    ),
    *("regex", "ebnf", "json_schema", "grammar"),
)
"""With these a grammar rules what is said, and begins with what is made: behind a partial answer it would begin again."""
_NO_GRAMMAR: Final = (None, "text")


def continued(body: bytes, kept: Kept) -> bytes | None:
    """The body, to be answered with what is still missing. None where the answer would not be that: where a grammar rules it,
    where there are several choices, or where the upstream would say the partial answer again.

    The limit of the answer's tokens is lowered by those that were told. White space at the end of the text is left out, since
    templates cut it off anyway, some with a token too much (huggingface/transformers#33198).
    """
    payload: dict[str, Any] = orjson.loads(body)
    form = payload.get("response_format")
    ruled = form is not None and (not isinstance(form, dict) or form.get("type") not in _NO_GRAMMAR)
    if ruled or any(payload.get(name) for name in _GUIDED) or payload.get("echo") or payload.get("n") not in (None, 1):
        return None
    messages = payload.get("messages")
    if not isinstance(messages, list) or not messages or not isinstance(messages[-1], dict):
        return None
    text = kept.text.rstrip()
    *before, last = messages
    if payload.get("continue_final_message"):  # the caller's own partial answer: it goes on behind both
        if not isinstance(last.get("content"), str):
            return None
        messages = [*before, {**last, "content": last["content"] + text}]
    else:
        messages = [*messages, {"role": "assistant", "content": text}]
    for name, least in (("max_tokens", 1), ("max_completion_tokens", 1), ("min_tokens", 0)):
        if isinstance(limit := payload.get(name), int):
            payload[name] = max(least, limit - kept.pieces)
    return orjson.dumps(
        payload | {"messages": messages, "continue_final_message": True, "add_generation_prompt": False}
    )
