"""Fields of requests as people reported them, and what is sent to the Messages API. Sources stand in the names of the cases."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
import pytest

from streams.providers.formats.wire import CannotTranslateError
from tests.unit.providers.anthropic_samples import LOOK, MARK, USER, call, result, sent, uses


def test_what_the_api_has_passes_and_nothing_else_does() -> None:
    own: dict[str, Any] = {
        "top_k": 5,
        "thinking": {"type": "enabled", "budget_tokens": 2048},
        "container": "c",
        "inference_geo": "us",
    }
    own |= {"context_management": {"edits": []}, **MARK}
    body = sent(
        max_tokens=4096, **{name: value for name, value in own.items() if name != "top_k"}, new_field=1, stream=True
    )
    assert body == {
        "model": "claude-sonnet-4-5",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
    } | {name: value for name, value in own.items() if name != "top_k"}
    assert sent(top_k=5)["top_k"] == 5


@pytest.mark.parametrize(
    "label",
    [
        pytest.param({"metadata": {"trace_id": "t"}}, id="BerriAI/litellm#12083"),
        pytest.param({"service_tier": "flex"}, id="platform.openai.com/docs/guides/flex-processing"),
        pytest.param({"reasoning_effort": "none"}, id="Aider-AI/aider#4404"),
        pytest.param({"extra_body": {"thinking": {}}}, id="Aider-AI/aider#3367"),
        pytest.param({"guardrails": ["x"]}, id="BerriAI/litellm#13825"),
        pytest.param({"reasoning": {"effort": "low"}}, id="BerriAI/litellm#13609"),
        pytest.param(
            {"prompt_cache_key": "k", "prompt_cache_retention": "24h", "store": True, "seed": 1}, id="openai-labels"
        ),
        pytest.param(
            {"thinking": None, "top_k": None, "temperature": None, "tools": None, "stop": None}, id="null-is-absent"
        ),
        pytest.param({"tools": [], "tool_choice": "auto"}, id="tools-empty"),
    ],
)
def test_labels_that_the_api_does_not_know_are_left_out(label: dict[str, Any]) -> None:
    assert sent(**label) == sent()


@pytest.mark.parametrize(
    ("given", "tier"),
    [("auto", "auto"), ("priority", "auto"), ("default", "standard_only"), ("standard_only", "standard_only")],
)
def test_service_tiers_are_translated(given: str, tier: str) -> None:
    assert sent(service_tier=given)["service_tier"] == tier


@pytest.mark.parametrize(
    ("labels", "user"),
    [
        ({"user": "u-1", "metadata": {"run": "7"}}, "u-1"),
        ({"user": "u-1", "metadata": {"user_id": "m", "run": "7"}}, "m"),
        ({"safety_identifier": "s"}, "s"),
    ],
)
def test_the_user_is_the_one_label_that_the_api_takes(labels: dict[str, Any], user: str) -> None:
    assert sent(**labels)["metadata"] == {"user_id": user}


@pytest.mark.parametrize(
    "user",
    [
        pytest.param("ada@example.com", id="BerriAI/litellm#10106"),
        pytest.param("+41 44 123 45 67", id="BerriAI/litellm#10102"),
        pytest.param("x" * 257, id="docs.claude.com/en/api/messages"),
    ],
)
def test_a_user_whose_id_says_who_it_is_is_sent_as_its_hash(user: str) -> None:
    assert sent(user=user)["metadata"] == {"user_id": hashlib.sha256(user.encode()).hexdigest()}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        pytest.param({"temperature": 0.2, "top_p": 0.4}, {"temperature": 0.2}, id="anomalyco/opencode#28930"),
        pytest.param({"temperature": 1, "top_p": 0.4}, {"top_p": 0.4}, id="cloud-apim/otoroshi-llm-extension#140"),
        pytest.param({"temperature": 1.7}, {"temperature": 1.0}, id="docs.claude.com/en/api/openai-sdk"),
        pytest.param(
            {"model": "claude-opus-4-7", "temperature": 0.2, "top_p": 0.9, "top_k": 5},
            {},
            id="NousResearch/hermes-agent#11137",
        ),
        pytest.param(
            {"thinking": {"type": "enabled", "budget_tokens": 1024}, "temperature": 0.2, "top_k": 5, "top_p": 0.96},
            {"top_p": 0.96},
            id="platform.claude.com/docs/en/build-with-claude/extended-thinking",
        ),
    ],
)
def test_sampling_is_what_the_model_takes(given: dict[str, Any], kept: dict[str, Any]) -> None:
    body = sent(**given)
    assert {name: body[name] for name in ("temperature", "top_p", "top_k") if name in body} == kept


@pytest.mark.parametrize(
    ("stop", "sent_stops"),
    [
        pytest.param(["", "\n"], None, id="MegaGrindStone/mcp-web-ui#5"),
        pytest.param("\n\n", None, id="BerriAI/litellm#3286"),
        pytest.param(["\n", "END", "\nHuman:"], ["END", "\nHuman:"], id="RUCAIBox/LLMBox#184"),
    ],
)
def test_stops_of_white_space_are_left_out(stop: Any, sent_stops: list[str] | None) -> None:
    assert sent(stop=stop).get("stop_sequences") == sent_stops


@pytest.mark.parametrize(
    ("model", "effort", "bound", "wanted"),
    [
        ("claude-opus-4-6", "low", None, ({"type": "adaptive"}, "low", 4096)),
        ("claude-opus-4-6", "xhigh", None, ({"type": "adaptive"}, "high", 4096)),
        ("claude-opus-4-7", "xhigh", 900, ({"type": "adaptive"}, "xhigh", 900)),
        ("claude-sonnet-5", "minimal", None, ({"type": "adaptive"}, "low", 4096)),
        ("smart", "medium", None, (None, "medium", 4096)),
        ("claude-sonnet-4-5", "high", None, ({"type": "enabled", "budget_tokens": 16384}, None, 20480)),
        ("claude-sonnet-4-5", "high", 10000, ({"type": "enabled", "budget_tokens": 8000}, None, 10000)),
        ("claude-haiku-4-5", "high", 800, (None, None, 800)),
        ("claude-3-5-haiku-20241022", "high", None, (None, None, 4096)),
        ("claude-opus-4-6", "none", None, (None, None, 4096)),
    ],
)
def test_an_effort_is_said_as_the_model_understands_it(model: str, effort: str, bound: int | None, wanted: Any) -> None:
    body = sent(model=model, reasoning_effort=effort, max_tokens=bound)
    assert (body.get("thinking"), body.get("output_config", {}).get("effort"), body["max_tokens"]) == wanted


def test_the_callers_own_words_go_before_an_effort() -> None:
    own = {"type": "enabled", "budget_tokens": 2048}
    assert sent(thinking=own, reasoning_effort="high", max_tokens=9000)["thinking"] == own
    config = sent(model="claude-opus-4-6", reasoning_effort="high", output_config={"effort": "max"})["output_config"]
    assert config == {"effort": "max"}


@pytest.mark.parametrize(
    ("more", "thinking"),
    [
        pytest.param({"max_tokens": 2048}, {"type": "enabled", "budget_tokens": 2047}, id="budget-below-max_tokens"),
        pytest.param({"tools": [LOOK], "tool_choice": "required"}, None, id="can1357/oh-my-pi#341"),
        pytest.param({"model": "claude-opus-4-8"}, {"type": "adaptive"}, id="NousResearch/hermes-agent#11137"),
        pytest.param({"model": "claude-3-haiku-20240307"}, None, id="a-model-that-does-not-think"),
    ],
)
def test_thinking_is_made_to_fit(more: dict[str, Any], thinking: Any) -> None:
    assert sent(thinking={"type": "enabled", "budget_tokens": 9000}, **more).get("thinking") == thinking


def test_thinking_has_room_where_no_bound_is_set() -> None:
    assert sent(thinking={"type": "enabled", "budget_tokens": 9000})["max_tokens"] == 13096


def test_a_budget_that_cannot_fit_is_refused_before_the_call() -> None:
    with pytest.raises(CannotTranslateError, match="thinking: needs max_tokens above 1024, and it is 1000"):
        sent(thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=1000)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(uses(call("c")), id="openai/openai-agents-python#1704"),
        pytest.param(uses(call("c"), content="Let me look."), id="anomalyco/opencode#3077"),
        pytest.param(
            uses(call("c"), thinking_blocks=[{"type": "thinking", "thinking": "of another vendor"}]), id="no-signature"
        ),
    ],
)
def test_a_chat_whose_thoughts_did_not_come_back_is_answered_without_new_ones(message: dict[str, Any]) -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    body = sent(USER, message, result("c"), tools=[LOOK], thinking=thinking)
    assert "thinking" not in body
    assert (
        sent(
            USER,
            message,
            result("c"),
            USER,
            {"role": "assistant", "content": "r"},
            USER,
            tools=[LOOK],
            thinking=thinking,
        )["thinking"]
        == thinking
    )  # the last turn of the assistant uses no tool


THOUGHTS = [
    {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
    {"type": "redacted_thinking", "data": "ZW5j"},
    {"type": "thinking", "thinking": "", "signature": "b21pdA=="},
]


def test_thoughts_come_back_before_everything_else_also_empty_and_redacted_ones() -> None:
    """BerriAI/litellm#9058, openai/openai-agents-python#4155."""
    thinking = {"type": "enabled", "budget_tokens": 1024}
    body = sent(
        USER, uses(call("c"), content="So.", thinking_blocks=THOUGHTS), result("c"), tools=[LOOK], thinking=thinking
    )
    assert [block["type"] for block in body["messages"][1]["content"]] == [
        *(block["type"] for block in THOUGHTS),
        "text",
        "tool_use",
    ]
    assert body["messages"][1]["content"][:3] == THOUGHTS
    assert body["thinking"] == thinking


@pytest.mark.parametrize("changed", [{"content": "other"}, {"tool_calls": [call("other")]}])
def test_a_message_that_the_caller_changed_is_what_the_caller_says(changed: dict[str, Any]) -> None:
    use = {"type": "tool_use", "id": "c", "name": "look", "input": {}}
    given = uses(call("c"), content="a", anthropic_content=[{"type": "text", "text": "a"}, THOUGHTS[0], use])
    kinds = [block["type"] for block in sent(USER, given, result("c"), tools=[LOOK])["messages"][1]["content"]]
    assert kinds == ["text", "thinking", "tool_use"]
    message = given | changed
    blocks = sent(USER, message, result(message["tool_calls"][0]["id"]), tools=[LOOK])["messages"][1]["content"]
    assert [block.get("text") or block["id"] for block in blocks] == [
        message["content"],
        message["tool_calls"][0]["id"],
    ]


def test_an_answer_that_was_cut_off_in_its_thoughts_does_not_end_a_chat() -> None:
    body = sent(USER, {"role": "assistant", "content": "", "thinking_blocks": THOUGHTS})
    assert [message["role"] for message in body["messages"]] == ["user"]


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param(
            {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}, id="pleaseai/shunt#620"
        ),
        pytest.param({"type": "array", "items": {"type": "object"}, "minItems": 5}, id="ENTERPILOT/GoModel#963"),
        pytest.param({"$defs": {"A": {"type": "object"}}, "$ref": "#/$defs/A", "$schema": "x"}, id="pydantic-root"),
    ],
)
def test_a_json_schema_is_the_format_of_the_answer(schema: dict[str, Any]) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": schema}}
    config = sent(response_format=form)["output_config"]
    assert config["format"].keys() == {"type", "schema"}  # maximhq/bifrost#881: no name, no strict
    assert "minimum" not in orjson.dumps(config).decode().replace('{\\"minimum\\": 1}', "")


def test_a_rule_that_the_api_does_not_know_is_told_in_the_description() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1, "description": "A number."}}}
    found = sent(response_format={"type": "json_schema", "json_schema": {"schema": schema}})["output_config"]["format"][
        "schema"
    ]
    assert found["properties"]["n"] == {"type": "integer", "description": 'A number.\n\n{"minimum": 1}'}
    assert found["additionalProperties"] is False
