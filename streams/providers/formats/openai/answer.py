"""What counts as an answer in the OpenAI format, whole or put together from a stream. Pure.

Formats: https://platform.openai.com/docs/api-reference/chat/object, https://platform.openai.com/docs/api-reference/embeddings.
`null` means absent everywhere.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from typing import Any, Final

from streams.money.usage import billed_of
from streams.providers.failures import failure_of
from streams.providers.formats.error_bodies import Said, read_error_value, said_of
from streams.providers.formats.wire import Answer, Asked, Failure, cached_tokens_of, unusable, usage_of

_FAILED: Final = frozenset({"error", "abort", "network_error", "insufficient_system_resource"})
"""Finish reasons of a choice that failed: OpenRouter and Mistral, vLLM and SGLang, Zhipu, DeepSeek."""

_CUT: Final = frozenset({"length", "model_length", "max_tokens", "content_filter", "sensitive", "safety"})
"""Finish reasons of a choice that is cut off or filtered."""

_SPEAKS: Final = (
    *("tool_calls", "function_call", "refusal", "reasoning_content", "reasoning", "reasoning_details", "reasoning_text"),
    *("thinking", "thinking_blocks", "audio", "images"),
)  # fmt: skip
"""What an answer may consist of beside its content."""


def answer_of(asked: Asked, status: int, parsed: Any, body: bytes, headers: Mapping[str, str]) -> Answer | Failure:
    """An answer of a good status, if it is one. `parsed` is what its `body` says."""
    if type(parsed) is not dict:
        said = said_of(parsed) if type(parsed) is list else Said()
        return (
            failure_of(status, said, headers)
            if said.message
            else unusable("the provider's answer is not a JSON object")
        )
    error = parsed.get("error")
    if error is not None and not says_nothing(error):
        return failure_of(status, said_of(parsed), headers)
    if asked.operation == "embeddings":
        whole: bool | Failure = _vectors(asked, status, parsed, headers)
    else:
        whole = _choices(status, parsed, headers)
    if isinstance(whole, Failure):
        return whole
    stated = parsed.get("usage")
    usage = usage_of(stated)
    billed = billed_of(usage, stated, parsed.get("service_tier"))
    return Answer(body, usage, whole, cached_tokens_of(stated, usage), billed)


def says_nothing(error: Any) -> bool:
    """An `error` field that is there and empty, as some servers have it beside good answers."""
    return not error or (type(error) is dict and not any(error.values()))


def choice_failure(status: int, choice: Mapping[str, Any], headers: Mapping[str, str]) -> Failure | None:
    """What a choice that failed says: https://openrouter.ai/docs/api-reference/errors."""
    error, reason = choice.get("error"), choice.get("finish_reason")
    if error is not None and not says_nothing(error):
        return failure_of(status, read_error_value(error), headers)
    if type(reason) is str and reason.lower() in _FAILED:
        return failure_of(status, Said(f"a choice ended with finish_reason {reason}", (reason.lower(),)), headers)
    return None


def _nothing(status: int, parsed: Mapping[str, Any], headers: Mapping[str, str], what: str) -> Failure:
    """An answer without the part that matters. Where it says why in other words (`base_resp`, `code`, `message`), that counts."""
    said = said_of(parsed)
    if said.message and (said.codes or said.status is not None):
        return failure_of(status, said, headers)
    return unusable(f"the provider's answer has no {what}" + (f": {said.message}" if said.message else ""))


def _choices(status: int, parsed: Mapping[str, Any], headers: Mapping[str, str]) -> bool | Failure:
    """Whether the choices are whole."""
    choices = parsed.get("choices")
    if type(choices) is not list or not choices:
        return _nothing(status, parsed, headers, "choices")
    whole, says = True, False
    for choice in choices:
        if type(choice) is not dict:
            return unusable("the provider's answer has a choice that is no object")
        if (failure := choice_failure(status, choice, headers)) is not None:
            return failure
        message, reason = choice.get("message"), choice.get("finish_reason")
        cut = type(reason) is str and reason.lower() in _CUT
        if type(message) is not dict:
            if type(choice.get("text")) is not str:
                return unusable("the provider's answer has a choice without a message")
            says = True
            continue
        content = message.get("content")
        if content is not None and type(content) not in (str, list):
            return unusable("the provider's answer has a choice whose content is no text")
        speaks = bool(content) or _speaks(message)
        whole = whole and not cut and speaks
        says = says or speaks or cut or content == ""
    return whole if says else unusable("the provider's answer has choices that say nothing")


def _speaks(message: Mapping[str, Any]) -> bool:
    return any((value := message.get(name)) and type(value) in (list, dict, str) for name in _SPEAKS)


def _vectors(asked: Asked, status: int, parsed: Mapping[str, Any], headers: Mapping[str, str]) -> bool | Failure:
    data = parsed.get("data")
    if type(data) is not list or not data:
        return _nothing(status, parsed, headers, "vectors")
    if len(data) < asked.inputs:
        return unusable(f"the provider's answer has {len(data)} vectors for {asked.inputs} inputs")
    indexes = set()
    for entry in data:
        if type(entry) is not dict or not _is_vector(entry.get("embedding")):
            return unusable("the provider's answer has an entry without a vector")
        if (index := entry.get("index")) is not None:
            indexes.add(index if type(index) is int else -1)
    if indexes and indexes != set(range(len(data))):
        return unusable("the provider's answer has vectors whose indexes are not those of the inputs")
    return True


def _is_vector(given: Any) -> bool:
    """Numbers, or their bytes in base64."""
    if type(given) is list and given:
        try:
            sum(given)  # the fastest look at every number, 7 us for 1,536
        except (TypeError, OverflowError):
            return False
        return True
    if type(given) is not str or not given:
        return False
    try:
        return bool(binascii.a2b_base64(given, strict_mode=True))
    except ValueError:
        return False
