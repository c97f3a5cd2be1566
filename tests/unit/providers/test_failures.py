"""The table of failures: what vendors and gateways are reported to answer, and whose fault that is."""

from __future__ import annotations

import re
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.providers.failures import _CODES, _STATUSES, FaultRules, failure_of
from streams.providers.formats.error_bodies import Said, read_error
from streams.providers.formats.wire import Failure

PAGE = Path(__file__).parents[3] / "docs" / "failures.md"


def fault(status: int, body: object = None, headers: dict[str, str] | None = None) -> str:
    return failure_of(status, read_error(orjson.dumps(body)), headers or {}).fault


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        (400, "request"), (401, "key"), (402, "credit"), (403, "key"), (404, "model"), (408, "illness"), (409, "illness"),
        (410, "model"), (413, "context"), (418, "request"), (422, "request"), (425, "illness"), (429, "capacity"),
        (451, "request"), (499, "illness"), (500, "illness"), (501, "model"), (502, "illness"), (503, "illness"),
        (504, "illness"), (520, "illness"), (521, "illness"), (522, "illness"), (523, "illness"), (524, "illness"),
        (525, "illness"), (526, "illness"), (529, "capacity"), (530, "illness"), (301, "illness"), (302, "illness"),
    ],
)  # fmt: skip
def test_a_status_says_whose_fault_it_is(status: int, wanted: str) -> None:
    assert fault(status) == wanted


REPORTED = {
    # https://docs.claude.com/en/api/errors; anthropics/claude-code#4684: empty credit is a 400
    "anthropic: empty credit": (
        400,
        {
            "type": "error",
            "error": {"type": "invalid_request_error", "message": "Your credit balance is too low to access the API."},
        },
        "credit",
    ),
    "anthropic: overloaded": (
        529,
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        "capacity",
    ),
    "anthropic: overloaded with a 500": (
        500,
        {"error": {"type": "overloaded_error", "message": "Overloaded"}},
        "capacity",
    ),
    "anthropic: no such model": (404, {"error": {"type": "not_found_error", "message": "model: claude-9"}}, "model"),
    "anthropic: too long": (
        400,
        {"error": {"type": "invalid_request_error", "message": "prompt is too long: 210000 tokens > 200000 maximum"}},
        "context",
    ),
    "anthropic: billing": (402, {"error": {"type": "billing_error", "message": "payment"}}, "credit"),
    # https://platform.openai.com/docs/guides/error-codes
    "openai: quota in a 429": (
        429,
        {
            "error": {
                "message": "You exceeded your current quota",
                "type": "insufficient_quota",
                "code": "insufficient_quota",
            }
        },
        "credit",
    ),
    "openai: rate limit": (
        429,
        {"error": {"message": "Rate limit reached", "type": "tokens", "code": "rate_limit_exceeded"}},
        "capacity",
    ),
    "openai: model without access is a 403": (
        403,
        {"error": {"message": "Project has no access to model", "code": "model_not_found"}},
        "model",
    ),
    "openai: window": (400, {"error": {"message": "reduce the length", "code": "context_length_exceeded"}}, "context"),
    "openai: wrong request": (400, {"error": {"message": "Invalid value", "type": "invalid_request_error"}}, "request"),
    # Azure OpenAI: https://learn.microsoft.com/azure/ai-services/openai/concepts/content-filter
    "azure: filtered": (400, {"error": {"message": "filtered", "code": "content_filter"}}, "request"),
    "azure: deployment": (
        404,
        {"error": {"code": "DeploymentNotFound", "message": "The API deployment does not exist."}},
        "model",
    ),
    # https://ai.google.dev/gemini-api/docs/troubleshooting: a wrong key is a 400
    "gemini: wrong key": (
        400,
        {
            "error": {
                "code": 400,
                "message": "API key not valid. Please pass a valid API key.",
                "status": "INVALID_ARGUMENT",
            }
        },
        "key",
    ),
    "gemini: exhausted": (
        429,
        {"error": {"code": 429, "message": "You exceeded your current quota", "status": "RESOURCE_EXHAUSTED"}},
        "capacity",
    ),
    "gemini: too long": (
        400,
        {
            "error": {
                "code": 400,
                "message": "The input token count (2000000) exceeds the maximum number of tokens allowed (1048576).",
                "status": "INVALID_ARGUMENT",
            }
        },
        "context",
    ),
    # https://openrouter.ai/docs/api/reference/errors-and-debugging
    "openrouter: no credit": (402, {"error": {"code": 402, "message": "Insufficient credits"}}, "credit"),
    "openrouter: no such model": (400, {"error": {"code": 400, "message": "foo/bar is not a valid model ID"}}, "model"),
    "openrouter: error inside a 200": (200, {"error": {"code": 502, "message": "Provider returned error"}}, "illness"),
    "openrouter: key inside a 200": (200, {"error": {"code": 401, "message": "User not found."}}, "key"),
    "openrouter: rate limit inside a 200": (
        200,
        {"error": {"code": 429, "message": "rate-limited upstream"}},
        "capacity",
    ),
    # https://api-docs.deepseek.com/quick_start/error_codes
    "deepseek: balance": (
        402,
        {"error": {"message": "Insufficient Balance", "code": "invalid_request_error"}},
        "credit",
    ),
    # https://console.groq.com/docs/errors and model deprecations
    "groq: decommissioned": (
        400,
        {"error": {"message": "has been decommissioned", "code": "model_decommissioned"}},
        "model",
    ),
    "groq: larger than a minute's tokens": (
        413,
        {"error": {"message": "Request too large for model", "code": "request_too_large"}},
        "context",
    ),
    "groq: flex": (498, {"error": {"message": "capacity exceeded"}}, "capacity"),
    # vllm-project/vllm serving errors; ggml-org/llama.cpp server
    "vllm: window": (
        400,
        {
            "object": "error",
            "message": "x",
            "error": {"message": "This model's maximum context length is 4096 tokens."},
        },
        "context",
    ),
    "vllm: model": (
        404,
        {"error": {"message": "The model `foo` does not exist.", "type": "NotFoundError", "code": 404}},
        "model",
    ),
    "llama.cpp: window": (
        400,
        {
            "error": {
                "code": 400,
                "message": "the request exceeds the available context size",
                "type": "exceed_context_size_error",
            }
        },
        "context",
    ),
    # one-api, new-api: a gateway's own 500 around what its upstream said
    "new-api: user's quota": (
        403,
        {"error": {"message": "quota", "type": "new_api_error", "code": "insufficient_user_quota"}},
        "credit",
    ),
    "a gateway's 500 around a 429": (500, {"error": {"message": "upstream", "code": 429}}, "capacity"),
    "a gateway's 502 around a 400": (502, {"error": {"message": "upstream", "code": 400}}, "request"),
    # Alibaba DashScope, Moonshot
    "dashscope: arrears": (
        400,
        {"error": {"message": "Access denied, account not in good standing", "code": "Arrearage"}},
        "credit",
    ),
    "dashscope: inspected": (400, {"error": {"message": "x", "code": "data_inspection_failed"}}, "request"),
    "moonshot: quota": (429, {"error": {"message": "x", "type": "exceeded_current_quota_error"}}, "credit"),
    "moonshot: overloaded": (429, {"error": {"message": "x", "type": "engine_overloaded_error"}}, "capacity"),
    # a stream or a 200 with a type and no status
    "a type without a status": (200, {"error": {"type": "authentication_error", "message": "x"}}, "key"),
    "another one": (200, {"error": {"type": "invalid_request_error", "message": "x"}}, "request"),
    "an error of which nothing is known": (200, {"error": {"message": "x"}}, "illness"),
}


@pytest.mark.parametrize(("status", "body", "wanted"), REPORTED.values(), ids=REPORTED.keys())
def test_what_vendors_and_gateways_are_reported_to_answer(status: int, body: object, wanted: str) -> None:
    assert fault(status, body) == wanted


@pytest.mark.parametrize(
    "quoted",
    ["API key not valid", "Your credit balance is too low", "The model `gpt-4o` does not exist", "invalid api key"],
)
def test_what_a_message_quotes_of_a_request_sets_nobody_aside(quoted: str) -> None:
    found = failure_of(400, Said(f"tool_choice: '{quoted}' is not one of the tools"), {})
    assert (found.fault, found.certain) == ("request", False)


def test_a_403_or_404_without_a_code_is_not_certain_and_a_401_is() -> None:
    certain = {status: failure_of(status, Said("no"), {}).certain for status in (401, 402, 403, 404, 500)}
    assert certain == {401: True, 402: True, 403: False, 404: False, 500: False}


def test_a_503_that_asks_to_wait_is_short_of_capacity_and_one_that_does_not_is_ill() -> None:
    assert [fault(503, {}, headers) for headers in ({"retry-after": "2"}, {})] == ["capacity", "illness"]
    assert failure_of(503, Said(), {"retry-after": "2"}).retry_after_s == 2.0


@given(
    st.integers(100, 999),
    st.text(max_size=80),
    st.lists(st.text(max_size=20), max_size=3),
    st.integers(400, 599) | st.none(),
)
def test_whatever_is_said_has_one_fault_and_a_message_that_the_wire_takes(
    status: int, message: str, codes: list[str], inner: int | None
) -> None:
    found = failure_of(status, Said(message, tuple(codes), inner), {})
    assert isinstance(found, Failure)
    assert len(found.message.encode()) <= 1024
    assert found.retryable == (found.fault not in ("request", "context"))
    assert found.charged == (200 <= status < 300)


def test_settings_come_before_the_table() -> None:
    filtered = failure_of(400, Said("x", ("content_filter",)), {})
    down = failure_of(503, Said(), {})
    late = Failure("provider_timeout", "no answer", fault="illness")
    rules = FaultRules(failover=frozenset({"content_filter"}), fatal=frozenset({"503", "timeout"}))
    assert [rules.apply(each).fault for each in (filtered, down, late)] == ["illness", "request", "request"]
    assert [FaultRules().apply(each) for each in (filtered, down)] == [filtered, down]


def test_the_page_in_docs_says_what_the_table_says() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]*\|[^|]*)\|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE))
    for status, wanted in _STATUSES.items():
        assert str(status) in re.findall(r"\d{3}", rows[wanted].partition("|")[0]), status
    for code, wanted in _CODES.items():
        assert f"`{code}`" in rows[wanted], code
    named = {code for row in rows.values() for code in re.findall(r"`(\w+)`", row.partition("|")[2])}
    assert named == set(_CODES)
