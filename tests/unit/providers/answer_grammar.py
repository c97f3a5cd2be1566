"""Good answers and streams of both wire formats, and the ways in which they come out wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import orjson

from ops.provider_sim import events
from streams.providers.formats.anthropic.format import AnthropicFormat
from streams.providers.formats.openai.format import OpenaiFormat
from streams.providers.formats.sse import EventDecoder
from streams.providers.formats.wire import Answer, Asked, Failure, Format

WORDS = ("fine", "", "a", "{", '"', "\\ud83d", "é", "😀", "\n", "null", "data: x", "</html>", " " * 40, "x" * 300)
ODD: tuple[Any, ...] = (None, True, 0, -1, 1.5, 1 << 63, "", "text", [], {}, [None], {"a": {}}, [[]], "😀")
OPENAI, ANTHROPIC = OpenaiFormat(), AnthropicFormat(now=lambda: 0.0)
CHAT = Asked("chat.completions")


@dataclass(frozen=True, slots=True)
class Case:
    """What a provider sends, and to which call."""

    wire: Format
    asked: Asked
    body: bytes
    streamed: bool


def text(random: Random) -> str:
    return "".join(random.choice(WORDS) for _ in range(random.randrange(1, 6)))


def usage(random: Random) -> dict[str, Any]:
    prompt, completion = random.randrange(1000), random.randrange(1000)
    details = {"cached_tokens": random.randrange(prompt + 1)}
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": details,
    }


def tool_call(random: Random, number: int) -> dict[str, Any]:
    arguments = orjson.dumps({"city": text(random)}).decode()
    return {"id": f"call_{number}", "type": "function", "function": {"name": f"f{number}", "arguments": arguments}}


def message(random: Random) -> dict[str, Any]:
    found: dict[str, Any] = {"role": "assistant", "content": text(random), "refusal": None}
    match random.randrange(4):
        case 0:
            found |= {"content": None, "tool_calls": [tool_call(random, n) for n in range(random.randrange(1, 4))]}
        case 1:
            found["reasoning_content"] = text(random)
        case 2:
            found["content"] = [{"type": "text", "text": text(random)}]
    return found


def chat(random: Random) -> dict[str, Any]:
    reason = random.choice(("stop", "length", "tool_calls", "content_filter"))
    choices = [
        {"index": index, "message": message(random), "logprobs": None, "finish_reason": reason}
        for index in range(random.choice((1, 1, 1, 2)))
    ]
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m"}
    return head | {"choices": choices, "usage": usage(random), "system_fingerprint": None, "error": None}


def embeddings(random: Random, inputs: int) -> dict[str, Any]:
    data = [
        {"object": "embedding", "index": index, "embedding": [random.random() for _ in range(8)]}
        for index in range(inputs)
    ]
    return {"object": "list", "data": data, "model": "m", "usage": {"prompt_tokens": 3, "total_tokens": 3}}


def chat_deltas(random: Random) -> Iterator[dict[str, Any]]:
    """The chunks of an answer: texts in pieces, tool calls in one piece or many, usage at the end."""
    whole = chat(random)
    head = {"id": whole["id"], "object": "chat.completion.chunk", "created": 1, "model": "m"}

    def chunk(index: int, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        return head | {"choices": [{"index": index, "delta": delta, "finish_reason": reason}], "usage": None}

    for choice in whole["choices"]:
        index, found = choice["index"], choice["message"]
        yield chunk(index, {"role": "assistant", "content": "" if type(found["content"]) is str else None})
        for name in ("reasoning_content", "content"):
            if type(found.get(name)) is str:
                yield from (chunk(index, {name: piece}) for piece in events.pieces(found[name]))
            elif found.get(name):
                yield chunk(index, {name: found[name]})
        for place, call in enumerate(found.get("tool_calls", ())):
            named = call | {"index": place, "function": {"name": call["function"]["name"], "arguments": ""}}
            yield chunk(index, {"tool_calls": [named]})
            for piece in events.pieces(call["function"]["arguments"]):
                yield chunk(index, {"tool_calls": [{"index": place, "function": {"arguments": piece}}]})
        yield chunk(index, {}, choice["finish_reason"])
    yield head | {"choices": [], "usage": whole["usage"]}


def claude(random: Random) -> dict[str, Any]:
    blocks: list[dict[str, Any]] = [{"type": "text", "text": text(random)}]
    if random.random() < 0.5:
        blocks.insert(0, {"type": "thinking", "thinking": text(random), "signature": "c2ln"})
    if random.random() < 0.5:
        blocks.append({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"city": text(random)}})
    counts = {"input_tokens": 5, "output_tokens": 7, "cache_read_input_tokens": 2, "cache_creation_input_tokens": None}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": blocks,
        "stop_reason": "tool_use" if blocks[-1]["type"] == "tool_use" else random.choice(("end_turn", "max_tokens")),
        "stop_sequence": None,
        "usage": counts,
    }


def claude_events(random: Random) -> Iterator[dict[str, Any]]:
    whole = claude(random)
    yield {"type": "message_start", "message": whole | {"content": [], "stop_reason": None}}
    for index, block in enumerate(whole["content"]):
        name, kind = {"text": ("text", "text_delta"), "thinking": ("thinking", "thinking_delta")}.get(
            block["type"], ("partial_json", "input_json_delta")
        )
        value = orjson.dumps(block["input"]).decode() if block["type"] == "tool_use" else block[name]
        empty: dict[str, Any] = {"input": {}} if block["type"] == "tool_use" else {name: ""}
        start = block | empty
        yield {"type": "content_block_start", "index": index, "content_block": start}
        for piece in events.pieces(value):
            yield {"type": "content_block_delta", "index": index, "delta": {"type": kind, name: piece}}
        yield {"type": "content_block_stop", "index": index}
    yield {"type": "message_delta", "delta": {"stop_reason": whole["stop_reason"]}, "usage": {"output_tokens": 9}}
    yield {"type": "message_stop"}


def good_case(random: Random, mutate: Callable[[Any], Any] = lambda value: value) -> Case:
    """One answer; `mutate` gets the JSON value of a whole answer, or of one event of a stream."""
    match random.randrange(5):
        case 0:
            return Case(OPENAI, CHAT, encoded(mutate(chat(random))), False)
        case 1:
            inputs = random.randrange(1, 5)
            body = encoded(mutate(embeddings(random, inputs)))
            return Case(OPENAI, Asked("embeddings", inputs), body, False)
        case 2:
            return Case(OPENAI, CHAT, _stream(random, list(chat_deltas(random)), mutate) + b"data: [DONE]\n\n", True)
        case 3:
            return Case(ANTHROPIC, CHAT, encoded(mutate(claude(random))), False)
        case _:
            return Case(ANTHROPIC, CHAT, _stream(random, list(claude_events(random)), mutate), True)


def _stream(random: Random, values: list[dict[str, Any]], mutate: Callable[[Any], Any]) -> bytes:
    place = random.randrange(len(values))
    values[place] = mutate(values[place])
    return b"".join(b"data: " + encoded(value) + b"\n\n" for value in values)


def encoded(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)


def mutated_case(random: Random) -> Case:
    """An answer with one to three things wrong."""
    found = good_case(random, lambda value: mutate_value(random, value)) if random.random() < 0.6 else good_case(random)
    body = found.body
    for _ in range(random.randrange(3) if random.random() < 0.6 else 0):
        body = mutate_bytes(random, body)
    return Case(found.wire, found.asked, body, found.streamed)


def mutate_value(random: Random, value: Any) -> Any:
    """Drop a field, make it null, give it another type, repeat an item, or hide it in a list or an object."""
    places: list[tuple[Any, Any]] = []
    left = [value]
    while left:
        inner = left.pop()
        keys: list[Any] = list(inner) if type(inner) is dict else list(range(len(inner)))
        places += [(inner, key) for key in keys]
        left += [inner[key] for key in keys if type(inner[key]) in (dict, list)]
    for _ in range(random.randrange(1, 3)):
        into, key = random.choice(places)
        try:
            match random.randrange(5):
                case 0:
                    del into[key]
                case 1:
                    into[key] = None
                case 2:
                    into[key] = random.choice(ODD)
                case 3:
                    into[key] = random.choice(([into[key]], {"value": into[key]}))
                case _:
                    if type(into) is list:
                        into.insert(0, into[key])
                    else:
                        into[str(key) + random.choice("x_ ")] = into.pop(key)
        except (KeyError, IndexError):
            pass  # the first mutation took it
    return random.choice(ODD) if random.random() < 0.02 else value


def mutate_bytes(random: Random, body: bytes) -> bytes:
    """Flip, cut, drop, repeat, insert, change the line ends."""
    if not body:
        return body
    at, size = random.randrange(len(body)), random.randrange(1, 40)
    match random.randrange(9):
        case 0:
            return body[:at] + bytes([body[at] ^ (1 << random.randrange(8))]) + body[at + 1 :]
        case 1:
            return body[:at]
        case 2:
            return body[:at] + body[at + size :]
        case 3:
            return body[: at + size] + body[at : at + size] + body[at + size :]
        case 4:
            return body[:at] + random.randbytes(size) + body[at:]
        case 5:
            return body.replace(b"\n", random.choice((b"\r", b"\r\n", b"\n\n", b" ")))
        case 6:
            return random.choice((b"\xef\xbb\xbf", b": comment\n\n", b"\n \n", b"<html>", b"data: ")) + body
        case 7:
            odd = (b"\\ud83d", b"NaN", b"1e999", b'"', b"[" * 300, b"9" * 400, b"\x00", b"[DONE]")
            return body[:at] + random.choice(odd) + body[at:]
        case _:
            blocks = body.split(b"\n\n")
            random.shuffle(blocks)
            return b"\n\n".join(blocks)


def cut(random: Random, body: bytes) -> Iterator[bytes]:
    """A body in pieces of any length."""
    start, size = 0, random.choice((1, 3, 50, 1000, 10**9)) if len(body) < 2000 else random.choice((50, 1000, 10**9))
    while start < len(body):
        length = random.randrange(1, size + 1)
        yield body[start : start + length]
        start += length


def read(case: Case, pieces: Iterator[bytes]) -> Answer | Failure:
    """As the client reads it."""
    if not case.streamed:
        return case.wire.decode(case.asked, 200, b"".join(pieces), {"content-type": "application/json"})
    decoder, assembler = EventDecoder(), case.wire.assembler(case.asked)
    for piece in pieces:
        for data in decoder.feed(piece):
            assembler.feed(data)
    for data in decoder.end():
        assembler.feed(data)
    return assembler.finish()
