"""Chats of the OpenAI format as callers really write them, and messages of the Messages API, for hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

MODELS = ["smart", "claude-3-5-haiku-20241022", "claude-3-7-sonnet-20250219", "claude-sonnet-4-5", "claude-opus-4-6"]
MODELS += ["claude-opus-4-7", "anthropic/claude-opus-4.8", "claude-sonnet-5"]

BLANK = st.sampled_from(["", " ", "\n", "\t \n", " "])
TEXT = BLANK | st.text(max_size=12) | st.sampled_from(["hi", "ends with space \n"])
MARK = st.sampled_from(
    [{}, {}, {}, {"cache_control": {"type": "ephemeral"}}, {"cache_control": {"type": "ephemeral", "ttl": "1h"}}]
)
URLS = st.sampled_from(
    [
        "data:image/jpg;base64,/9j/4AAQSkZJRg==",
        "data:image/png;base64,/9j/4AAQSkZJRg==",  # a label that is wrong
        "data:image/jpeg;charset=utf-8;base64,/9j/4AAQSkZJRg==",
        "DATA:IMAGE/GIF;base64,R0lG\nODlhAQABAAAAACw=",
        "data:;base64,iVBORw0KGgoAAAANSUhEUg",
        "https://example.com/a.png",
    ]
)
FILES = st.sampled_from(
    [
        {"file_data": "data:application/pdf;base64,JVBERi0xLjcK", "filename": "a.pdf"},
        {"file_data": "data:text/plain;base64,aGVsbG8="},
        {"file_data": "data:text/csv,a%2Cb"},
        {"file_data": "JVBERi0xLjcK"},
    ]
)
IDS = st.sampled_from(["call_1", "functions.look:0", "", "ü", "a b", "u8-x", "call_1-r2"]) | st.text(max_size=6)
NAMES = st.sampled_from(["look", "server.look", "u8-look", "wetter_für", "a/b"])
ARGUMENTS = st.sampled_from(["", "{}", '{"city": "Bern"}', "null", "[1]", '{"cut'])
THOUGHTS = st.sampled_from(
    [
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        {"type": "thinking", "thinking": "", "signature": "b21pdHRlZA=="},
        {"type": "redacted_thinking", "data": "ZW5j"},
        {"type": "thinking", "thinking": "of another vendor"},
    ]
)


@st.composite
def text_parts(draw: st.DrawFn) -> dict[str, Any]:
    return {"type": "text", "text": draw(TEXT)} | draw(MARK)


@st.composite
def user_parts(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["text", "text", "image_url", "file"]))
    if kind == "text":
        return draw(text_parts())
    return {"type": kind, kind: {"url": draw(URLS), "detail": "low"} if kind == "image_url" else draw(FILES)} | draw(
        MARK
    )


@st.composite
def exchanges(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A message, and the results of the tools that it calls."""
    role = draw(st.sampled_from(["user", "user", "assistant", "assistant", "system", "developer"]))
    mark = draw(MARK)
    if role == "user":
        content = draw(TEXT | st.lists(user_parts(), max_size=3))
        return [{"role": role, "content": content, "name": "ada"} | mark]
    if role != "assistant":
        return [{"role": role, "content": draw(TEXT | st.lists(text_parts(), max_size=2))} | mark]
    message: dict[str, Any] = {
        "role": role,
        "content": draw(st.none() | TEXT | st.lists(text_parts(), max_size=2)),
        "audio": None,
    }
    if draw(st.booleans()):
        message["thinking_blocks"] = draw(st.lists(THOUGHTS, max_size=2))
        message["reasoning_content"] = "hm"
    calls = []
    for call_id in draw(st.lists(IDS, max_size=3)):
        function = {"name": draw(NAMES), "arguments": draw(ARGUMENTS)}
        calls.append({"id": call_id, "type": "function", "index": 0, "function": function})
    if not calls:
        return [message | mark]
    message["tool_calls"] = calls
    results = []
    for call in draw(st.permutations(calls)):
        content = draw(TEXT | st.lists(user_parts(), max_size=2))
        results.append({"role": "tool", "tool_call_id": call["id"], "content": content} | draw(MARK))
    return [message | mark, *results]


SCHEMAS: st.SearchStrategy[Any] = st.sampled_from(
    [
        {},
        {"properties": {}},
        {"type": "object", "properties": {"city": {"type": "string"}}, "anyOf": [{"required": ["city"]}]},
        {"oneOf": [{"$ref": "#/$defs/A"}, {"properties": {"b": {}}}], "$defs": {"A": {"properties": {"a": {}}}}},
        {"type": ["object", "null"]},
        None,
    ]
)
ANSWER_SCHEMAS = st.sampled_from(
    [
        {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]},
        {"$schema": "x", "type": "array", "minItems": 3, "items": {"type": "object", "additionalProperties": True}},
        {"oneOf": [{"type": "string", "pattern": "^a", "format": "email"}, {"type": "null"}]},
    ]
)


@st.composite
def tools(draw: st.DrawFn) -> dict[str, Any]:
    """`tools` and what chooses among them."""
    names = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    found = []
    for name in names:
        function = {"name": name, "description": draw(st.sampled_from(["", "Of a city."])), "strict": True}
        found.append({"type": "function", "function": function | {"parameters": draw(SCHEMAS)}} | draw(MARK))
    named = {"type": "function", "function": {"name": names[0]}}
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [named]}}
    choice = draw(st.sampled_from([None, "auto", "none", "required", named, allowed]))
    return {"tools": found, "tool_choice": choice, "parallel_tool_calls": draw(st.booleans())}


@st.composite
def payloads(draw: st.DrawFn) -> dict[str, Any]:
    messages = [message for exchange in draw(st.lists(exchanges(), min_size=1, max_size=5)) for message in exchange]
    payload: dict[str, Any] = {"model": draw(st.sampled_from(MODELS)), "messages": messages}
    optional: dict[str, st.SearchStrategy[Any]] = {
        "max_tokens": st.sampled_from([1, 1024, 1025, 9000]),
        "max_completion_tokens": st.sampled_from([None, 5000]),
        "temperature": st.sampled_from([0, 0.5, 1, 1.7, 2]),
        "top_p": st.sampled_from([0.1, 0.97, 1]),
        "top_k": st.just(5),
        "stop": st.sampled_from([None, "END", "\n", ["a", " ", ""]]),
        "user": st.sampled_from(["u-1", "ada@example.com", "+41 44 123 45 67", "x" * 300]),
        "safety_identifier": st.just("s"),
        "metadata": st.sampled_from([{"run": "7"}, {"user_id": "m", "run": "7"}, None]),
        "service_tier": st.sampled_from(["auto", "default", "flex", "priority", None]),
        "reasoning_effort": st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh"]),
        "verbosity": st.just("low"),
        "thinking": st.sampled_from(
            [{"type": "enabled", "budget_tokens": 2048}, {"type": "adaptive"}, {"type": "disabled"}, None]
        ),
        "response_format": ANSWER_SCHEMAS.map(
            lambda schema: {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
        ),
        "prompt_cache_key": st.just("k"),
        "prompt_cache_retention": st.just("24h"),
        "seed": st.just(7),
        "store": st.just(True),
        "stream": st.just(True),
        "some_new_field": st.just(1),
    }
    for name in draw(st.lists(st.sampled_from(sorted(optional)), max_size=8, unique=True)):
        payload[name] = draw(optional[name])
    return payload | draw(st.just({}) | tools())


@st.composite
def answered_blocks(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Content of an answer: in any order, each use of a tool with an id of its own."""
    found: list[dict[str, Any]] = []
    for kind in draw(st.lists(st.sampled_from(["thinking", "redacted_thinking", "text", "tool_use"]), max_size=6)):
        if kind == "thinking":
            found.append(
                {"type": kind, "thinking": draw(st.text(max_size=9)), "signature": draw(st.text("abc=", min_size=1))}
            )
        elif kind == "redacted_thinking":
            found.append({"type": kind, "data": draw(st.text("abc="))})
        elif kind == "text":
            found.append({"type": kind, "text": draw(st.text(max_size=9))})
        else:
            value = draw(st.dictionaries(st.text(max_size=3), st.integers(-9, 9) | st.text(max_size=5), max_size=2))
            found.append({"type": kind, "id": f"toolu_{len(found)}", "name": "look", "input": value})
    return found
