"""What counts as an answer in the OpenAI format. Inputs after public reports and documentation, named in each case."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from streams.providers.formats.openai.format import OpenaiFormat
from streams.providers.formats.wire import Answer, Asked, Failure, Fault
from tests.unit.providers.test_answer_fuzz import response_of

CHAT = Asked("chat.completions")


def decoded(
    body: Any, asked: Asked = CHAT, content_type: str = "application/json", status: int = 200
) -> Answer | Failure:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return OpenaiFormat().decode(asked, status, raw, {"content-type": content_type})


def chat(message: Any, reason: str | None = "stop", **more: Any) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": reason}]} | more


def one(choice: Any) -> dict[str, Any]:
    return {"id": "c", "choices": [choice]}


def failure(body: Any, asked: Asked = CHAT, content_type: str = "application/json") -> Failure:
    found = decoded(body, asked, content_type)
    assert isinstance(found, Failure), found
    return found


FINE = {"role": "assistant", "content": "fine"}


@pytest.mark.parametrize(
    ("body", "fault", "words"),
    [
        pytest.param({"error": {"code": 502, "message": "Worker local total request limit reached (33/32)"}}, "illness",
                     "33/32", id="OmniRoute#8210"),
        pytest.param({"error": {"code": 401, "message": "No auth credentials found"}}, "key", "credentials",
                     id="openrouter.ai/docs/api-reference/errors: 401"),
        pytest.param({"error": {"code": 402, "message": "Insufficient credits"}}, "credit", "credits",
                     id="openrouter.ai/docs/api-reference/errors: 402"),
        pytest.param({"error": {"code": "429", "message": "busy"}}, "capacity", "busy", id="a status as a text"),
        pytest.param({"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}, "choices": None},
                     "credit", "quota", id="openai-agents-python#604: choices null beside it"),
        pytest.param({"error": "model is overloaded"}, "illness", "overloaded", id="an error that is a text"),
        pytest.param({"error": True, "message": "bad gateway", "status": 502}, "illness", "bad gateway", id="error true"),
        pytest.param([{"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}], "illness", "overloaded",
                     id="autobot#15: Gemini's list"),
        pytest.param({"choices": None, "base_resp": {"status_code": 1002, "status_msg": "rate limit"}}, "capacity",
                     "rate limit", id="cherry-studio#11287: MiniMax"),
        pytest.param({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, "credit", "balance",
                     id="platform.minimax.io/docs/api-reference/errorcode"),
        pytest.param({"object": "error", "message": "no such model", "code": 404}, "model", "no such model",
                     id="vLLM behind a proxy"),
        pytest.param(one({"message": {"content": ""}, "error": {"code": 502, "message": "gone"}, "finish_reason": "error"}),
                     "illness", "gone", id="openrouter.ai/docs/api-reference/errors: in the choice"),
        pytest.param(one({"message": {"content": "half"}, "finish_reason": "error"}), "illness", "finish_reason error",
                     id="docs.mistral.ai/api: finish_reason error"),
        pytest.param(one({"message": {"content": "half"}, "finish_reason": "insufficient_system_resource"}), "illness",
                     "insufficient_system_resource", id="api-docs.deepseek.com: finish_reason"),
        pytest.param(one({"message": {"content": "half"}, "finish_reason": "abort"}), "illness", "abort", id="vLLM: aborted"),
    ],
)  # fmt: skip
def test_an_error_inside_a_200_is_classed_by_the_code_it_carries(body: Any, fault: Fault, words: str) -> None:
    found = failure(body)
    assert (found.fault, found.unusable) == (fault, False)
    assert words in found.message


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"choices": []}, id="vercel/ai#20351"),
        pytest.param({"id": "c", "object": "chat.completion"}, id="open-multi-agent#207"),
        pytest.param({"choices": [], "usage": {"prompt_tokens": 1}}, id="genkit#6232: usage only"),
        pytest.param({"choices": None}, id="langchain#35236"),
        pytest.param({"choices": {"0": {"message": FINE}}}, id="choices that are no list"),
        pytest.param(one(None), id="a choice that is null"),
        pytest.param(one({"index": 0, "finish_reason": "stop"}), id="a choice without a message"),
        pytest.param(one({"index": 0, "message": None}), id="a message that is null"),
        pytest.param(chat({"role": "assistant"}), id="FLUJO#312: nothing in the message"),
        pytest.param(chat({"role": "assistant", "content": None, "tool_calls": []}, "tool_calls"), id="FastGPT#7339: no call"),
        pytest.param(chat({"role": "assistant", "content": 7}), id="a content that is no text"),
        pytest.param({"data": chat(FINE)}, id="thunderbolt#723: wrapped"),
        pytest.param(orjson.dumps(chat(FINE))[:-9], id="cut off"),
        pytest.param(orjson.dumps(chat(FINE)) + b"}", id="something behind it"),
        pytest.param(b"", id="nothing"),
        pytest.param(b'"fine"', id="a text"),
        pytest.param(b'{"choices": [' + b"[" * 100_000, id="nested without end"),
        pytest.param(b'{"choices": [{"message": {"content": "x"}}], "a": ' + b"[" * 250 + b"]" * 250 + b"}",
                     id="nested deeper than readers of the contract follow"),
    ],
)  # fmt: skip
def test_an_answer_that_nobody_can_use_is_bought_once_more_at_most(body: Any) -> None:
    found = failure(body)
    assert (found.fault, found.unusable, found.charged, found.retryable) == ("illness", True, True, True)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/html; charset=UTF-8", b"<!DOCTYPE html><html><head><title>Just a moment...</title>"),
        ("application/json", b"\n<html><title>Sign in</title>"),
        ("text/html", b"Service maintenance"),
        ("text/plain", b"upstream connect error or disconnect/reset before headers"),
        ("application/xml", b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"),
        ("image/png", b"\x89PNG\r\n"),
    ],
    ids=[
        "ChatGPT#1102: a challenge",
        "a login under a JSON type",
        "a type alone",
        "envoy",
        "a store's XML",
        "a picture",
    ],
)
def test_a_page_where_a_provider_should_be_is_its_illness_and_was_not_paid_for(content_type: str, body: bytes) -> None:
    found = failure(body, content_type=content_type)
    assert (found.fault, found.unusable, found.charged) == ("illness", False, False)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(chat(FINE, error=None), id="error null"),
        pytest.param(chat(FINE, error=""), id="error empty: a Go struct without omitempty"),
        pytest.param(chat(FINE, error={"message": "", "type": None}), id="error of empty fields"),
        pytest.param(chat({"content": None, "tool_calls": [{"id": "1", "function": {"name": "f"}}]}, "tool_calls"), id="calls"),
        pytest.param(chat({"content": None, "function_call": {"name": "f", "arguments": "{}"}}), id="function_call"),
        pytest.param(chat({"content": None, "refusal": "I cannot"}), id="a refusal"),
        pytest.param(chat({"content": None, "audio": {"id": "a", "data": "AA=="}}), id="audio"),
        pytest.param(chat({"content": "", "reasoning_content": "hm"}, "tool_calls"), id="FastGPT#7339: reasoning alone"),
        pytest.param(chat({"content": [{"type": "text", "text": "x"}]}), id="docs.mistral.ai: parts"),
        pytest.param(chat(FINE, None), id="no finish reason"),
        pytest.param(one({"message": FINE, "finish_reason": "stop"}), id="no index"),
        pytest.param(one({"text": "legacy", "finish_reason": "stop"}), id="a completion's text"),
        pytest.param(chat(FINE, usage=None), id="usage null"),
        pytest.param(chat(FINE, unknown={"deep": [1]}), id="unknown fields"),
        pytest.param(chat(FINE, base_resp={"status_code": 0, "status_msg": ""}), id="MiniMax: well"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("status", [200, 201])
def test_odd_but_good_answers_are_delivered_as_they_came(status: int, body: Any) -> None:
    found = decoded(body, status=status)
    assert isinstance(found, Answer), found
    assert (orjson.loads(found.body), found.whole) == (body, True)


@pytest.mark.parametrize("reason", ["length", "content_filter", "model_length", "LENGTH"])
def test_a_cut_or_filtered_answer_is_delivered_and_not_whole(reason: str) -> None:
    for message in (FINE, {"role": "assistant", "content": None}):
        found = decoded(chat(message, reason))
        assert isinstance(found, Answer)
        assert not found.whole


def test_an_empty_text_is_an_answer_that_others_do_not_share() -> None:
    found = decoded(chat({"role": "assistant", "content": ""}))
    assert isinstance(found, Answer)
    assert not found.whole


def test_one_cut_choice_makes_the_answer_not_whole() -> None:
    found = decoded(
        {"choices": [{"message": FINE, "finish_reason": "stop"}, {"message": FINE, "finish_reason": "length"}]}
    )
    assert isinstance(found, Answer)
    assert not found.whole


LONE = b'{"choices":[{"message":{"content":"a\\ud83d"},"finish_reason":"length"}]}'


@pytest.mark.parametrize(
    ("body", "content"),
    [
        pytest.param(LONE, "a\ufffd", id="evidenceloom#50: half an emoji"),
        pytest.param(LONE.replace(b"a\\ud83d", b"\\udc97 \\ud83d\\ude00"), "\ufffd 😀", id="KohakuTerrarium#48: the other half"),
        pytest.param(LONE.replace(b"a\\ud83d", "é😀".encode()[:-2]), "é\ufffd", id="half an emoji in UTF-8"),
        pytest.param(b"\xef\xbb\xbf" + LONE.replace(b"\\ud83d", b""), "a", id="a byte order mark"),
        pytest.param(b": OPENROUTER PROCESSING\n\n" * 3 + LONE.replace(b"\\ud83d", b""), "a", id="dive#206: comments before it"),
        pytest.param(b"\n" * 50 + LONE.replace(b"\\ud83d", b""), "a", id="opencode#25959: line feeds before it"),
        pytest.param(LONE.replace(b"\\ud83d", b"\nb"), "a\nb", id="a line feed inside a text"),
        pytest.param(LONE.replace(b"\\ud83d", b"") + b"\ndata: [DONE]\n\n", "a", id="9router#3492: a stream's end behind it"),
        pytest.param(LONE.replace(b"\\ud83d", b"")[:-1] + b',"logprobs":{"p":-Infinity,"q":NaN}}', "a", id="sglang#2955: -inf"),
        pytest.param(LONE[:-1] + b',"logprobs":{"p":-Infinity,"q":NaN}}', "a\ufffd", id="half an emoji and no number"),
        pytest.param(LONE[:-1] + b',"created":1e30,"n":' + b"9" * 40 + b"}", "a\ufffd", id="numbers beyond 64 bits"),
        pytest.param(LONE[:-1] + b',"x":1e999,"n":' + b"9" * 9000 + b"}", "a\ufffd", id="numbers beyond floats"),
    ],
)  # fmt: skip
def test_what_a_lenient_reader_reads_is_delivered_as_strict_json(body: bytes, content: str) -> None:
    found = decoded(body)
    assert isinstance(found, Answer), found
    assert response_of(found)["choices"][0]["message"]["content"] == content


def test_a_stream_that_nobody_asked_for_is_put_together() -> None:
    """new-api#5230: events though stream is false."""
    body = (
        b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\ndata: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
    )
    found = decoded(body, content_type="text/event-stream")
    assert isinstance(found, Answer)
    assert orjson.loads(found.body)["choices"][0]["message"]["content"] == "hi"


@pytest.mark.parametrize(
    ("usage", "cached"),
    [
        ({"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 7}}, 7),
        ({"prompt_tokens": 10, "prompt_cache_hit_tokens": 6, "prompt_cache_miss_tokens": 4}, 6),
        ({"prompt_tokens": 10, "cached_tokens": 5}, 5),
        ({"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 70}}, 10),
        ({"prompt_tokens": 10, "prompt_tokens_details": None}, 0),
        ({"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": None}}, 0),
    ],
    ids=["OpenAI", "api-docs.deepseek.com", "platform.moonshot.ai", "more than the prompt", "null", "null inside"],
)
def test_prompt_tokens_from_the_providers_cache_are_told(usage: Any, cached: int) -> None:
    found = decoded(chat(FINE, usage=usage))
    assert isinstance(found, Answer)
    assert found.cached_tokens == cached


def vectors(*entries: Any) -> dict[str, Any]:
    return {"object": "list", "data": list(entries), "usage": {"prompt_tokens": 2, "total_tokens": 2}}


def entry(index: int | None, vector: Any) -> dict[str, Any]:
    return {"embedding": vector} | ({} if index is None else {"index": index})


@pytest.mark.parametrize(
    ("inputs", "body"),
    [
        pytest.param(1, {"object": "list", "model": "m"}, id="openai-python#2369: no data"),
        pytest.param(1, vectors(), id="vercel/ai#20359: none"),
        pytest.param(2, vectors(entry(0, [0.5])), id="DeepSeek-Reasonix#727: fewer than inputs"),
        pytest.param(1, vectors(entry(0, [None, None])), id="text-embeddings-inference#51: numbers that are null"),
        pytest.param(2, vectors(entry(0, [0.5]), entry(1, None)), id="esperanto#119: a vector that is null"),
        pytest.param(1, vectors(entry(0, [])), id="a vector without numbers"),
        pytest.param(1, b'{"data": [{"index": 0, "embedding": [NaN, 0.5]}]}', id="llama.cpp#13854: no numbers"),
        pytest.param(1, vectors(entry(0, "no base64!")), id="a text that is no vector"),
        pytest.param(1, vectors(entry(0, [[0.5], [0.25]])), id="llama.cpp: a vector a token"),
        pytest.param(2, vectors(entry(0, [0.5]), entry(0, [0.25])), id="the same index twice"),
        pytest.param(2, vectors(entry(0, [0.5]), entry(2, [0.25])), id="an index left out"),
        pytest.param(1, vectors(None), id="an entry that is null"),
        pytest.param(1, chat(FINE), id="a chat's answer"),
    ],
)  # fmt: skip
def test_an_embedding_answer_without_all_its_vectors_is_none(inputs: int, body: Any) -> None:
    assert failure(body, Asked("embeddings", inputs)).unusable


@pytest.mark.parametrize(
    "body",
    [
        vectors(entry(0, [0.5, 1, -2e-9]), entry(1, [0, 1])),
        vectors(entry(1, [0.5]), entry(0, [0.25])),
        vectors(entry(None, [0.5]), entry(None, [0.25])),
        vectors(entry(0, "AACAPwAAAEA="), entry(1, "AACAPw==")),
        vectors(entry(0, [0.5]), entry(1, [0.5]), entry(2, [0.5])),
    ],
    ids=["numbers of both kinds", "in another order", "without indexes", "base64", "more than were asked for"],
)
def test_vectors_are_an_answer(body: Any) -> None:
    assert isinstance(decoded(body, Asked("embeddings", 2)), Answer)


def test_an_error_in_place_of_vectors_is_classed_by_its_code() -> None:
    found = failure({"error": {"message": "bad key", "code": "invalid_api_key"}}, Asked("embeddings", 3))
    assert (found.fault, found.unusable) == ("key", False)


def test_readers_of_the_contract_can_read_what_is_nested_as_deep_as_they_follow() -> None:
    body = b'{"choices": [{"message": {"content": "x"}}], "a": ' + b"[" * 150 + b"]" * 150 + b"}"
    found = decoded(body)
    assert isinstance(found, Answer)
    response_of(found)
