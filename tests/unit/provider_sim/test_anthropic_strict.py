"""Each rule of the strict emulation refuses what breaks it and nothing else; texts as in the public reports that it names."""

from __future__ import annotations

from typing import Any

import pytest

from ops.provider_sim.answers import BadRequestError
from ops.provider_sim.anthropic_strict import check_strictly

USER = {"role": "user", "content": "hi"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = {"name": "look", "description": "Of a city.", "input_schema": SCHEMA}
USE = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "r"}
MARK = {"cache_control": {"type": "ephemeral"}}
THINKING = {"type": "enabled", "budget_tokens": 1024}
JPEG = "/9j/4AAQSkZJRg=="


def body(**more: Any) -> dict[str, Any]:
    return {"model": "claude-sonnet-4-5", "max_tokens": 4096, "messages": [USER]} | more


def said(*contents: Any) -> list[dict[str, Any]]:
    """Messages of the user and the assistant in turn."""
    return [{"role": ("user", "assistant")[place % 2], "content": content} for place, content in enumerate(contents)]


def image(media_type: str, data: str = JPEG) -> list[dict[str, Any]]:
    return [{"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}]


def check(given: dict[str, Any], **headers: str) -> None:
    check_strictly({"anthropic-version": "2023-06-01"} | headers, given)


GOOD: list[dict[str, Any]] = [
    body(),
    body(system="Be brief.", temperature=0.5, stop_sequences=["END"], metadata={"user_id": "u"}, service_tier="auto"),
    body(
        thinking=THINKING,
        top_p=0.95,
        tools=[TOOL | MARK],
        tool_choice={"type": "auto", "disable_parallel_tool_use": True},
    ),
    body(
        tools=[TOOL, {"type": "web_search_20250305", "name": "web_search"}],
        tool_choice={"type": "tool", "name": "look"},
    ),
    body(tools=[TOOL], messages=said("hi", [USE], [RESULT, {"type": "text", "text": "and?"}])),
    body(
        tools=[TOOL],
        messages=[*said("hi", [USE, USE | {"id": "b"}]), *said([RESULT | {"tool_use_id": "b"}]), *said([RESULT])],
    ),
    body(messages=[USER, USER]),  # roles need not alternate
    body(messages=said("hi", "", "go on")),  # of the assistant, a bare text may be empty
    body(messages=said("hi", "The answer is (")),
    body(messages=said(image("image/jpeg"))),
    body(model="claude-opus-4-6", thinking={"type": "adaptive"}, output_config={"effort": "low"}),
    body(output_config={"format": {"type": "json_schema", "schema": SCHEMA | {"additionalProperties": False}}}),
]


@pytest.mark.parametrize("given", GOOD)
def test_what_the_documentation_shows_is_taken(given: dict[str, Any]) -> None:
    check(given)


def test_fields_in_beta_need_their_header() -> None:
    given = body(context_management={"edits": []})
    check(given, **{"anthropic-beta": "context-management-2025-06-27"})
    with pytest.raises(BadRequestError, match="context_management: Extra inputs are not permitted"):
        check(given)


def schema_of(**more: Any) -> dict[str, Any]:
    return {"tools": [TOOL | {"input_schema": SCHEMA | more}]}


def formatted(**schema: Any) -> dict[str, Any]:
    return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}


BAD: list[tuple[dict[str, Any], str]] = [
    ({"response_format": {}}, "response_format: Extra inputs"),
    ({"max_tokens": 0}, "max_tokens: Input should be greater"),
    ({"temperature": 1.5}, "temperature: Input should be"),
    ({"temperature": 0.5, "top_p": 0.5}, "cannot both be specified"),
    ({"model": "claude-opus-4-7", "temperature": 0.5}, "`temperature` is not supported"),
    ({"metadata": {"run": "7"}}, "metadata.run: Extra inputs"),
    ({"metadata": {"user_id": "a@example.com"}}, "appears to contain an email"),
    ({"metadata": {"user_id": "+41 44 123 45 67"}}, "appears to contain a phone"),
    ({"metadata": {"user_id": "x" * 257}}, "at most 256"),
    ({"service_tier": "default"}, "service_tier: Input should be"),
    ({"stop_sequences": ["\n"]}, "each stop sequence must contain non-whitespace"),
    ({"system": " \n"}, "system: text content blocks must contain non-whitespace"),
    ({"system": [{"type": "text", "text": ""} | MARK]}, "cache_control cannot be set for empty"),
    ({"thinking": {"type": "enabled", "budget_tokens": 4096}}, "`max_tokens` must be greater"),
    ({"thinking": {"type": "enabled", "budget_tokens": 512}}, "greater than or equal to 1024"),
    ({"thinking": {"type": "adaptive"}}, "adaptive thinking is not supported"),
    ({"thinking": THINKING, "model": "claude-opus-4-7"}, 'Use "thinking.type.adaptive"'),
    ({"thinking": THINKING, "model": "claude-3-5-haiku-20241022"}, "thinking is not supported"),
    ({"thinking": THINKING, "temperature": 0.5}, "may only be set to 1"),
    ({"thinking": THINKING, "top_k": 5}, "`top_k` must be unset"),
    ({"thinking": THINKING, "top_p": 0.5}, "`top_p` must be greater"),
    (
        {"thinking": THINKING, "tools": [TOOL], "tool_choice": {"type": "any"}},
        "Thinking may not be enabled when tool_choice",
    ),
    ({"thinking": THINKING, "messages": said("hi", "Well")}, "prefill is not supported when thinking"),
    ({"thinking": THINKING, "tools": [TOOL], "messages": said("hi", [USE], [RESULT])}, "Expected `thinking` or"),
    ({"tools": [TOOL | {"name": "a.b"}]}, "tools.0.custom.name: String should match"),
    ({"tools": [TOOL | {"parameters": {}}]}, "tools.0.custom.parameters: Extra inputs"),
    ({"tools": [TOOL, TOOL]}, "Tool names must be unique"),
    ({"tools": [{"name": "look", "input_schema": {}}]}, "tools.0.custom.input_schema.type: Field required"),
    ({"tools": [{"type": "function", "name": "look"}]}, "tools.0: Input tag 'function'"),
    (schema_of(anyOf=[]), "does not support oneOf, allOf, or anyOf"),
    (schema_of(properties={"a b": {}}), "Property keys should match"),
    ({"tool_choice": {"type": "auto"}}, "only be specified while providing tools"),
    ({"tools": [TOOL], "tool_choice": "auto"}, "tool_choice: Input tag"),
    ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "walk"}}, "'walk' not found"),
    ({"output_config": {"effort": "minimal"}}, "output_config.effort: Input should be"),
    ({"output_config": {"effort": "low"}, "model": "claude-sonnet-4-0"}, "does not support the effort"),
    (formatted(type="object"), "must be explicitly set to false"),
    (formatted(type="integer", minimum=1), "property 'minimum' is not supported"),
    (formatted(type="array", items={"type": "string", "maxLength": 1}), "property 'maxLength'"),
    ({"messages": said("")}, "user messages must have non-empty content"),
    ({"messages": said("hi", "\n", "go on")}, "must contain non-whitespace text"),
    ({"messages": said([{"type": "text", "text": ""}])}, "must be non-empty"),
    ({"messages": said("hi", "Well ")}, "trailing whitespace"),
    ({"messages": said("hi", "Well"), "model": "claude-opus-4-6"}, "does not support assistant message prefill"),
    ({"messages": [{"role": "assistant", "content": "hi"}, USER]}, "first message must use"),
    ({"messages": [{"role": "system", "content": "hi"}]}, "messages.0.role"),
    ({"messages": [USER | {"name": "ada"}]}, "messages.0.name: Extra inputs"),
    ({"messages": said("hi", [{"type": "thinking", "thinking": "x"}], "go on")}, "thinking.signature: Field required"),
    ({"messages": said("hi", [{"type": "redacted_thinking", "data": "x"}])}, "final block in an assistant message"),
    ({"messages": said(image("image/jpg"))}, "media_type: Input should be 'image/jpeg'"),
    ({"messages": said(image("image/png"))}, "does not match the provided media type image/png"),
    ({"messages": said(image("image/jpeg", "/9j/\n4AAQ"))}, "invalid base64"),
    ({"messages": said([{"type": "image", "source": {"type": "url", "url": "http://a"}}])}, "Only HTTPS"),
    ({"messages": said("hi", [USE], [RESULT])}, "must define tools"),
]
PAIRS: list[tuple[list[dict[str, Any]], str]] = [
    (said("hi", [USE]), "without `tool_result` blocks"),
    (said("hi", [USE], "hm", "", [RESULT]), "without `tool_result` blocks"),
    (said("hi", [USE], [{"type": "text", "text": "x"}, RESULT]), "without `tool_result` blocks"),
    (said("hi", [USE, USE | {"id": "b"}], [RESULT], "so"), "without `tool_result` blocks"),
    (said([RESULT]), "unexpected `tool_use_id`"),
    (said("hi", [USE], [RESULT, RESULT]), "must have a single result"),
    (said("hi", [USE], [RESULT], [USE], [RESULT]), "ids must be unique"),
    (said("hi", [USE | {"id": "functions.look:0"}]), "tool_use.id: String should match"),
    (said("hi", [USE | {"input": "{}"}]), "tool_use.input: Input should be"),
    (said("hi", [USE | {"text": "x"}]), "tool_use.text: Extra inputs"),
    (said("hi", [USE], [RESULT | {"content": [{"type": "text", "text": " "}]}]), "non-whitespace"),
    (said([{"type": "text", "text": "x"} | MARK] * 5), "Found 5"),
]


@pytest.mark.parametrize(("more", "why"), BAD)
def test_what_breaks_a_rule_is_refused_in_the_words_of_the_api(more: dict[str, Any], why: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        check(body(**more))
    assert why in str(refused.value)


@pytest.mark.parametrize(("messages", "why"), PAIRS)
def test_tools_and_their_results_belong_together(messages: list[dict[str, Any]], why: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        check(body(messages=messages, tools=[TOOL]))
    assert why in str(refused.value)
