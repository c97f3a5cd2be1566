"""Answers as a function of the request's body: the same body gets the same answer, to the byte, from every simulator.

Wire format: https://platform.openai.com/docs/api-reference (chat completions, embeddings, models, errors).
"""

import base64
import math
import random
import struct
from dataclasses import dataclass
from typing import Any

import orjson
import xxhash

from ops.provider_sim.settings import Hint
from ops.provider_sim.structured import fitting

BYTES_PER_TOKEN = 4
MODELS = ("small", "large", "embed")
_CREATED = 1_700_000_000  # a constant: the time would make two answers to one body differ
_DEFAULT_DIMENSIONS = 64
_MAX_DIMENSIONS = 4096
_WORDS = b"water wheel gate pond channel mill stone grain river stream sluice race paddle axle gear flour "


@dataclass(frozen=True, slots=True)
class ChatTokens:
    """Sizes of a chat; `cut`: max_tokens ended the answer before it was done; `cached`: of the prompt, from the prompt cache.
    `reasoning`: of the completion, said to be thought.
    """

    prompt: int
    completion: int
    cut: bool
    cached: int = 0
    reasoning: int = 0


class BadRequestError(Exception):
    """A body that the provider refuses with 400; the message says why."""


def parse_body(raw: bytes) -> tuple[dict[str, Any], Hint]:
    """The body as an object, and its hint.

    Raises:
        BadRequestError: no JSON object, or a hint of the wrong shape.
    """
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"the body is no JSON: {error}") from error
    if not isinstance(body, dict):
        raise BadRequestError("the body is no JSON object")
    if not isinstance(body.get("model"), str):
        raise BadRequestError("model is required")
    given = body.get("headrace_sim")
    if given is None:
        return body, _NO_HINT
    try:
        return body, Hint.model_validate(given)
    except ValueError as error:
        raise BadRequestError(f"headrace_sim: {error}") from error


_NO_HINT = Hint()
_HOW = frozenset(
    {"headrace_sim", "stream", "stream_options", "max_tokens", "max_completion_tokens", "max_output_tokens"}
    | {"background", "store"}
)


def body_hash(body: dict[str, Any]) -> int:
    """64 bits of what was asked. How the answer comes is left out, so that a stream and hints never change what it says, and
    its limit, which cuts the same answer shorter.
    """
    asked = {key: value for key, value in body.items() if key not in _HOW}
    return xxhash.xxh64_intdigest(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS))


def chat_tokens(body: dict[str, Any], hint: Hint) -> ChatTokens:
    """Prompt and completion tokens of a chat: prompt = bytes of text / 4, completion = min(max_tokens, hint).

    Raises:
        BadRequestError: messages or max_tokens are wrong.
    """
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(m, dict) for m in messages):
        raise BadRequestError("messages must be a list of at least one message")
    prompt = hint.prompt_tokens
    if prompt is None:
        prompt = _tokens_of(sum(_text_bytes(message.get("content")) for message in messages))
    limit = body.get("max_completion_tokens", body.get("max_tokens"))
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise BadRequestError("max_tokens must be an integer of at least 1")
    wanted = hint.completion_tokens
    if wanted is None:
        wanted = 16 + body_hash(body) % 113
    completion = wanted if limit is None else min(limit, wanted)
    return ChatTokens(prompt, completion, cut=completion < wanted)


def chat_text(body: dict[str, Any], tokens: ChatTokens, least_bytes: int) -> str:
    """About four bytes a token, at least `least_bytes` long, beginning with the hash of the body."""
    size = max(tokens.completion * BYTES_PER_TOKEN, least_bytes)
    opening = f"{body_hash(body):016x} ".encode()
    return (opening + _WORDS * (size // len(_WORDS) + 1))[:size].decode()


def chat_answer(body: dict[str, Any], tokens: ChatTokens, least_bytes: int, text: str | None = None) -> dict[str, Any]:
    """A text, `text` where it is given, or JSON of the schema that `response_format` names; or, where `tool_choice` demands a
    tool, a call of it: its arguments fit its schema where that requires some, else the argument `seen`, the hash of the body.
    """
    seen = body_hash(body)
    tool = _demanded_tool(body)
    if text is None:
        structured = _structured(body, seen)
        text = chat_text(body, tokens, least_bytes) if structured is None else structured
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if tool is not None:
        arguments = _arguments(body, tool, seen)
        function = {"name": tool, "arguments": orjson.dumps(arguments).decode()}
        call = {"id": f"call_{seen:016x}", "type": "function", "function": function}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return {
        "id": f"chatcmpl-{seen:016x}",
        "object": "chat.completion",
        "created": _CREATED,
        "model": body["model"],
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": "tool_calls" if tool is not None else "length" if tokens.cut else "stop",
            }
        ],
        "usage": {
            "prompt_tokens": tokens.prompt,
            "completion_tokens": tokens.completion,
            "total_tokens": tokens.prompt + tokens.completion,
            **({"prompt_tokens_details": {"cached_tokens": tokens.cached}} if tokens.cached else {}),
            **({"completion_tokens_details": {"reasoning_tokens": tokens.reasoning}} if tokens.reasoning else {}),
        },
    }


def _structured(body: dict[str, Any], seen: int) -> str | None:
    wanted = body.get("response_format")
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        return None
    try:
        return orjson.dumps(fitting(wanted["json_schema"]["schema"], seen)).decode()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadRequestError("response_format.json_schema.schema is no schema that is known here") from error


def _arguments(body: dict[str, Any], tool: str, seen: int) -> Any:
    named = [each.get("function", {}) for each in body.get("tools") or () if isinstance(each, dict)]
    schema = next((each.get("parameters") for each in named if each.get("name") == tool), None)
    if not isinstance(schema, dict) or not schema.get("required"):
        return {"seen": f"{seen:016x}"}
    try:
        return fitting(schema, seen)
    except (TypeError, ValueError, AttributeError) as error:
        raise BadRequestError("the tool's parameters are no schema that is known here") from error


def _demanded_tool(body: dict[str, Any]) -> str | None:
    """The tool that `tool_choice` names, or the first one if any will do."""
    choice, tools = body.get("tool_choice"), body.get("tools")
    try:
        if isinstance(choice, dict):
            return str(choice["function"]["name"])
        return str(tools[0]["function"]["name"]) if choice == "required" and isinstance(tools, list) else None
    except (KeyError, TypeError, IndexError) as error:
        raise BadRequestError("tools and tool_choice must name functions") from error


def embedding_inputs(body: dict[str, Any]) -> list[str | list[int]]:
    """The inputs of an embeddings call: one text, texts, one list of tokens, or several.

    Raises:
        BadRequestError: it is none of these, or empty.
    """
    given = body.get("input")
    if isinstance(given, str) and given:
        return [given]
    if isinstance(given, list) and given:
        if all(isinstance(item, str) and item for item in given):
            return given
        if all(isinstance(item, int) for item in given):
            return [given]
        if all(isinstance(item, list) and item and all(isinstance(token, int) for token in item) for item in given):
            return given
    raise BadRequestError("input must be a text, a list of texts, or a list of tokens, and not empty")


def embeddings_answer(body: dict[str, Any], hint: Hint) -> dict[str, Any]:
    """Unit vectors, each a function of its own input alone, so that merged calls give what single calls give.

    Raises:
        BadRequestError: input, dimensions or encoding_format are wrong.
    """
    inputs = embedding_inputs(body)
    dimensions = body.get("dimensions", _DEFAULT_DIMENSIONS)
    if not isinstance(dimensions, int) or not 1 <= dimensions <= _MAX_DIMENSIONS:
        raise BadRequestError(f"dimensions must be 1 to {_MAX_DIMENSIONS}")
    encoding = body.get("encoding_format", "float")
    if encoding not in {"float", "base64"}:
        raise BadRequestError("encoding_format must be float or base64")
    data: list[dict[str, Any]] = []
    for index, item in enumerate(inputs):
        vector = _unit_vector(item, dimensions)
        packed = base64.b64encode(struct.pack(f"<{dimensions}f", *vector)).decode() if encoding == "base64" else vector
        data.append({"object": "embedding", "index": index, "embedding": packed})
    prompt = hint.prompt_tokens
    if prompt is None:
        prompt = sum(_tokens_of(len(item.encode())) if isinstance(item, str) else len(item) for item in inputs)
    usage = {"prompt_tokens": prompt, "total_tokens": prompt}
    return {"object": "list", "data": data, "model": body["model"], "usage": usage}


def models_answer() -> dict[str, Any]:
    data = [{"id": name, "object": "model", "created": _CREATED, "owned_by": "headrace"} for name in MODELS]
    return {"object": "list", "data": data}


def error_answer(status: int, message: str) -> dict[str, Any]:
    kind = {400: "invalid_request_error", 401: "authentication_error", 429: "rate_limit_error"}.get(status)
    kind = kind or ("invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def _tokens_of(size_bytes: int) -> int:
    return max(1, math.ceil(size_bytes / BYTES_PER_TOKEN))


def _text_bytes(content: Any) -> int:
    """Bytes of a message's text: its content is a string, or a list of parts of which some are text."""
    if isinstance(content, str):
        return len(content.encode())
    if isinstance(content, list):
        return sum(_text_bytes(part.get("text")) for part in content if isinstance(part, dict))
    return 0


def _unit_vector(item: str | list[int], dimensions: int) -> list[float]:
    rng = random.Random(xxhash.xxh64_intdigest(orjson.dumps(item)))
    vector = [rng.gauss(0, 1) for _ in range(dimensions)]
    length = math.hypot(*vector)
    return [round(value / length, 7) for value in vector]
