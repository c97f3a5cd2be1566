"""Why a provider refused, in the shapes in which providers and gateways say it. Each input's source is its name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.providers.failures import failure_of
from streams.providers.formats.error_bodies import Said, read_error, read_error_value


def read(body: Any) -> Said:
    return read_error(body if isinstance(body, bytes) else json.dumps(body).encode())


GEMINI = {
    "code": 429,
    "message": "You exceeded your current quota.",
    "status": "RESOURCE_EXHAUSTED",
    "details": [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "RATE_LIMIT_EXCEEDED",
            "domain": "googleapis.com",
        },
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "26.660853464s"},
    ],
}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param({"error": {"message": "no such model", "type": "invalid_request_error"}}, "no such model", id="OpenAI"),
        pytest.param({"error": "model 'x' not found"}, "model 'x' not found", id="Ollama"),
        pytest.param([{"error": GEMINI}], "You exceeded your current quota.", id="autobot#15: Gemini's list"),
        pytest.param({"object": "error", "message": "max_tokens is large", "code": 400}, "max_tokens is large", id="vLLM"),
        pytest.param({"message": "messages.1.content: Input should be a valid list"},
                     "messages.1.content: Input should be a valid list", id="ruby_llm#94: Bedrock"),
        pytest.param({"__type": "com.amazon.coral.service#ThrottlingException", "Message": "Rate exceeded"}, "Rate exceeded",
                     id="docs.aws.amazon.com: common errors"),
        pytest.param({"detail": "Not authenticated"}, "Not authenticated", id="fastapi.tiangolo.com: HTTPException"),
        pytest.param({"detail": [{"loc": ["body", "messages", 0], "msg": "Field required", "input": "secret"}]},
                     "body.messages.0: Field required", id="fastapi.tiangolo.com: RequestValidationError"),
        pytest.param({"detail": {"error": {"message": "inside"}}}, "inside", id="FastAPI with an object"),
        pytest.param({"success": False, "errors": [{"code": 10000, "message": "Authentication error"}]}, "Authentication error",
                     id="developers.cloudflare.com/api"),
        pytest.param({"errors": {"max_tokens": ["must be positive"]}}, "max_tokens: must be positive", id="ASP.NET: by field"),
        pytest.param({"type": "about:blank", "title": "Too Large", "detail": "over 8 MB", "status": 413}, "Too Large: over 8 MB",
                     id="RFC 9457"),
        pytest.param({"fault": {"faultstring": "Rate limit quota violation", "detail": {"errorcode": "policies.QuotaViolation"}}},
                     "Rate limit quota violation", id="discuss.google.dev/17548: Apigee"),
        pytest.param({"error": "invalid_token", "error_description": "The access token expired"}, "The access token expired",
                     id="RFC 6750"),
        pytest.param({"timestamp": 1, "status": 502, "error": "Bad Gateway", "path": "/v1"}, "Bad Gateway", id="Spring"),
        pytest.param({"code": 1113, "msg": "no resource package"}, "no resource package", id="msg"),
        pytest.param({"error": {"message": 'litellm.RateLimitError: OpenAIException - {"error": {"message": "slow down"}}\n'
                                           "Received Model Group=x", "code": "429"}},
                     "litellm.RateLimitError: OpenAIException - slow down", id="LiteLLM: JSON behind words"),
        pytest.param({"error": {"message": '{"error":{"message":"inside"}}'}}, "inside", id="one-api: JSON as a text"),
        pytest.param({"error": {"message": "Provider returned error", "code": 400, "metadata": {
            "raw": '{"error":{"code":"invalid_request_error","message":"at most 1 image per prompt"}}'}}},
            "Provider returned error: at most 1 image per prompt", id="OmniRoute#3044: raw JSON"),
        pytest.param({"error": {"message": "Provider returned error", "code": 400, "metadata": {
            "raw": 'data: {"error":{"message":"must contain the word json"}}\n\n'}}},
            "Provider returned error: must contain the word json", id="studio#6827: a raw event"),
        pytest.param({"error": {"message": "Provider returned error", "code": 429, "metadata": {"raw": "rate-limited upstream"}}},
                     "Provider returned error: rate-limited upstream", id="open-webui/computer#293: raw text"),
        pytest.param(b"<html><head><title>524: A timeout\n  occurred</title></head>", "524: A timeout occurred", id="Cloudflare"),
        pytest.param(b"<!DOCTYPE html><body><h1>502 Bad &amp; Gateway</h1>", "502 Bad & Gateway", id="a heading"),
        pytest.param(b"upstream connect error or disconnect/reset before headers. reset reason: overflow",
                     "upstream connect error or disconnect/reset before headers. reset reason: overflow", id="Envoy: a line"),
        pytest.param(b'data: {"error": {"message": "as an event"}}\n\ndata: [DONE]\n\n', "as an event", id="an event stream"),
        pytest.param(b'\xef\xbb\xbf{"error": "marked"}', "marked", id="a byte order mark"),
        pytest.param({"error": {"message": ["one", "two"]}}, "one; two", id="a list of texts"),
    ],
)  # fmt: skip
def test_the_reason_is_told_in_every_shape(body: Any, message: str) -> None:
    assert read(body).message == message


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"received": {"messages": [{"role": "user", "content": "the secret plan"}]}}},
        {"request": {"messages": [{"content": "the secret plan"}]}, "error": {}},
        {"detail": [{"loc": ["body"], "input": {"messages": "the secret plan"}}]},
        {
            "error": {
                "code": 403,
                "message": "flagged",
                "metadata": {"reasons": ["x"], "flagged_input": "the secret plan"},
            }
        },
        b'{"messages": [{"content": "the secret plan"',
        b"POST /v1\n\nthe secret plan",
        b"<p>the secret plan</p>",
        ["the", {"messages": "the secret plan"}],
    ],
)
def test_the_rest_of_a_body_is_never_quoted(body: Any) -> None:
    assert "secret" not in read(body).message


@pytest.mark.parametrize(
    ("body", "codes", "status"),
    [
        pytest.param({"error": {"message": "m", "type": "tokens", "code": "rate_limit_exceeded"}}, {"rate_limit_exceeded"}, None,
                     id="OpenAI"),
        pytest.param({"error": GEMINI}, {"resource_exhausted", "rate_limit_exceeded"}, 429, id="Gemini"),
        pytest.param({"error": {"code": "content_filter", "message": "m", "status": 400,
                                "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
                     {"content_filter", "responsibleaipolicyviolation"}, 400, id="learn.microsoft.com: Azure's filter"),
        pytest.param({"error": {"code": 403, "message": "m", "metadata": {"reasons": ["violence"], "flagged_input": "x"}}},
                     {"moderation"}, 403, id="openrouter.ai/docs/api-reference/errors: moderation"),
        pytest.param({"error": {"code": "429", "message": "m"}}, {"429"}, 429, id="a status as a text"),
        pytest.param({"error": {"message": "Error code: 401 - {'error': {'message': 'no'}}"}}, set(), 401, id="in words"),
        pytest.param({"error": {"code": 502, "message": "m", "metadata": {"error_type": "provider_unavailable"}}},
                     {"provider_unavailable"}, 502, id="openrouter.ai: error_type"),
        pytest.param({"__type": "a#ThrottlingException"}, {"throttlingexception"}, None, id="AWS"),
        pytest.param({"fault": {"faultstring": "m", "detail": {"errorcode": "policies.ratelimit.QuotaViolation"}}},
                     {"policies.ratelimit.quotaviolation"}, None, id="Apigee"),
        pytest.param({"base_resp": {"status_code": 1004, "status_msg": "m"}}, {"invalid_api_key"}, None, id="MiniMax"),
        pytest.param({"error": {"message": 'x - {"error": {"message": "m", "code": "insufficient_quota"}}'}},
                     {"insufficient_quota"}, None, id="LiteLLM"),
        pytest.param({"error": "invalid_grant"}, {"invalid_grant"}, None, id="a text that is a code"),
        pytest.param({"error": {"code": 200, "status": 999, "type": None}}, set(), None, id="numbers that are no errors"),
    ],
)  # fmt: skip
def test_codes_and_statuses_are_told(body: Any, codes: set[str], status: int | None) -> None:
    found = read(body)
    assert codes <= set(found.codes)
    assert found.status == status


@pytest.mark.parametrize(
    ("delay", "seconds"), [("34s", 34.0), ("58.934310785s", 58.934310785), ("soon", None), ("-3s", None), (5, None)]
)
def test_a_wait_in_the_body_is_told(delay: object, seconds: float | None) -> None:
    """jp#1061, python-genai#1875: a decimal number of seconds."""
    body = {
        "error": {"code": 429, "message": "m", "details": [{"@type": "x/google.rpc.RetryInfo", "retryDelay": delay}]}
    }
    found = failure_of(429, read([body]), {})
    assert (found.fault, found.retry_after_s) == ("capacity", seconds)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a\r\n\tb\x00\x1b[31mc\u202e", "a b c"),
        ("key sk-proj-abcdefgh12345678 is wrong", "key *** is wrong"),
        ("Bearer abcdefghijklmnop== refused", "Bearer *** refused"),
        ("https://x/v1?key=AIzaSyA1234567890123456789012", "https://x/v1?key=***"),
        ("half \ud83d", "half \ufffd"),
    ],
    ids=["control characters", "a key", "a token", "a key in an address", "half an emoji"],
)
def test_a_reason_is_one_line_without_secrets(text: str, told: str) -> None:
    found = read_error_value({"message": text}).message
    assert found.encode("utf-8", "replace").decode().replace("?", "\ufffd").replace("v1\ufffd", "v1?") == told


def test_a_reason_is_cut() -> None:
    assert len(read({"error": "x" * 100_000}).message) < 1000


NAMES = st.sampled_from(
    ["error", "message", "code", "detail", "errors", "metadata", "raw", "details", "loc", "msg", "fault"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=3), inner, max_size=4),
    max_leaves=15,
)
NAMES = st.sampled_from(
    ["error", "message", "code", "detail", "errors", "metadata", "raw", "details", "loc", "msg", "fault"]
)


@given(JSON | st.binary(max_size=100))
def test_whatever_a_body_says_nothing_is_raised(body: Any) -> None:
    found = read(body)
    assert "\n" not in found.message
    assert found.status is None or 400 <= found.status <= 599
    assert failure_of(500, found, {}).message


def test_a_body_nested_without_end_says_nothing() -> None:
    deep: Any = "x"
    for _ in range(100):
        deep = {"error": deep}
    assert read(deep) == Said()
    assert read(b'{"error":' * 100_000).message == ""


@given(st.integers(0, 700), st.sampled_from(["word ", "x", "語", " \n"]), st.booleans())
def test_a_message_is_never_cut_in_the_middle_of_a_word_that_may_be_a_key(
    before: int, filler: str, is_page: bool
) -> None:
    """steve-goldberg/NocoBot#3: an error text was cut to a length, and keys are shorter; half of one fits no pattern."""
    key = "the-key-of-this-provider-0123456789"
    said = f"{filler * before}{key} and more {'that goes on ' * 60}"
    body = (
        f"<title>{filler * before}{key}</title>".encode()
        if is_page
        else json.dumps({"error": {"message": said}}).encode()
    )
    message = failure_of(400, read_error(body), {}).message
    assert key in message or key[:8] not in message
    assert len(message.encode()) <= 1024
