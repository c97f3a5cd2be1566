"""Streams as servers of the OpenAI format really send them. Inputs after public reports, named in each case."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.providers.formats.openai.format import OpenaiFormat
from streams.providers.formats.openai.merge import Text
from streams.providers.formats.sse import EventDecoder
from streams.providers.formats.wire import Answer, Asked, Failure, Fault

DONE = b"[DONE]"


def read(*data: Any) -> Answer | Failure:
    """A stream of these events; what is no bytes is written as JSON."""
    raw = b"".join(b"data: " + (each if type(each) is bytes else json.dumps(each).encode()) + b"\n\n" for each in data)
    return read_raw(raw)


def read_raw(raw: bytes) -> Answer | Failure:
    assembler, decoder = OpenaiFormat().assembler(Asked("chat.completions")), EventDecoder()
    for data in (*decoder.feed(raw), *decoder.end()):
        assembler.feed(data)
    return assembler.finish()


def chunk(delta: Any = None, reason: str | None = None, index: Any = 0, **more: Any) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": index, "delta": delta or {}, "finish_reason": reason}]} | more


def calls(*found: dict[str, Any]) -> dict[str, Any]:
    return chunk({"tool_calls": list(found)})


def function(name: str | None = None, arguments: str | None = None, **more: Any) -> dict[str, Any]:
    given = {"name": name, "arguments": arguments}
    return {"function": {key: value for key, value in given.items() if value is not None}} | more


def message(found: Answer | Failure) -> dict[str, Any]:
    assert isinstance(found, Answer), found
    value: dict[str, Any] = orjson.loads(found.body)["choices"][0]["message"]
    return value


END = chunk({}, "tool_calls")
A, B = '{"a":1}', '{"b":2}'


@pytest.mark.parametrize(
    ("chunks", "wanted"),
    [
        pytest.param([calls(function("f", A, index=0, id="1")), calls(function("g", B, index=0, id="2"))],
                     [("f", A), ("g", B)], id="langchain#34807: one index, two ids"),
        pytest.param([calls(function("f", "", index=0, id="1")), calls(function("g", "", index=0, id="2")),
                      calls(function(None, A, index=0, id="1")), calls(function(None, B, index=0, id="2"))],
                     [("f", A), ("g", B)], id="one index, interleaved by id"),
        pytest.param([calls(function("f", A, index=0)), calls(function("g", B, index=0))],
                     [("f", A), ("g", B)], id="smolagents#1569: one index, names only"),
        pytest.param([calls(function("f", "", index=0)), calls(function("g", B, index=0))],
                     [("f", ""), ("g", B)], id="one index, names only, and one without arguments"),
        pytest.param([calls(function("f", A, index=0)), calls(function("f", B, index=0))],
                     [("f", A), ("f", B)], id="ollama#15457: one index, the same name"),
        pytest.param([calls(function("f", A[:3], id="1")), calls(function(None, A[3:])), calls(function("f", B, id="2"))],
                     [("f", A), ("f", B)], id="ollama#7881, agentao#117: no index, ids"),
        pytest.param([calls(function("f", A, index=None)), calls(function("g", B, index=None))],
                     [("f", A), ("g", B)], id="opik#8362: index null, no ids"),
        pytest.param([calls(function("f", A)), calls(function("f", B))],
                     [("f", A), ("f", B)], id="no index, no ids, the same name"),
        pytest.param([calls(function("f", "{}"), function("f", "{}"))],
                     [("f", "{}"), ("f", "{}")], id="CLIProxyAPI#5058: side by side without index"),
        pytest.param([calls(function("f", A[:2]), function("g", B[:2])), calls(function(None, A[2:]), function(None, B[2:]))],
                     [("f", A), ("g", B)], id="side by side without index, in pieces"),
        pytest.param([calls(function("f", A[:2], index=0, id="1"), function(None, A[2:4], index=0)),
                      calls(function(None, A[4:], index=0))],
                     [("f", A)], id="openai-python#3201: one index twice in a chunk"),
        pytest.param([calls(function("f", piece, index=0, id="1", type="function")) for piece in A],
                     [("f", A)], id="dynamo#4723: id, type and name with every piece"),
        pytest.param([calls(function("f", piece, index=0)) for piece in ('{"a":"', "{}", '"}')],
                     [("f", '{"a":"{}"}')], id="a name with every piece, and braces inside a text"),
        pytest.param([calls(function("f", A[:3], index="0", id="1")), calls(function(None, A[3:], index="0"))],
                     [("f", A)], id="an index that is a text"),
        pytest.param([calls(function("g", B, index=1, id="2")), calls(function("f", A, index=0, id="1"))],
                     [("f", A), ("g", B)], id="indexes out of order"),
        pytest.param([calls(function("f", "", index=0, id="1", type="function")),
                      calls(function("", A, index=0, id="", type=""))],
                     [("f", A)], id="empty labels later"),
        pytest.param([calls(function(None, None, index=0, id="1")), calls(function("f", None, index=0)),
                      calls(function(None, A, index=0))],
                     [("f", A)], id="id, name and arguments one after another"),
    ],
)  # fmt: skip
def test_every_tool_call_comes_out_with_its_own_arguments(chunks: list[Any], wanted: list[tuple[str, str]]) -> None:
    found = message(read(*chunks, END, DONE))["tool_calls"]
    assert [(call["function"]["name"], call["function"]["arguments"]) for call in found] == wanted
    assert all("index" not in call for call in found)


@pytest.mark.parametrize(
    ("deltas", "wanted"),
    [
        pytest.param([{"reasoning_details": [{"index": 0, "id": "r", "type": "reasoning.text", "format": "v1", "text": text}]}
                      for text in ("Let ", "me")],
                     {"reasoning_details":
                      [{"index": 0, "id": "r", "type": "reasoning.text", "format": "v1", "text": "Let me"}]},
                     id="verifiers#2604: labels with every piece"),
        pytest.param([{"reasoning_details": [{"index": 0, "type": "reasoning.text", "text": "a"}]},
                      {"reasoning_details": [{"index": 0, "type": "reasoning.encrypted", "data": "xyz"}]}],
                     {"reasoning_details": [{"index": 0, "type": "reasoning.text", "text": "a"},
                                            {"index": 0, "type": "reasoning.encrypted", "data": "xyz"}]},
                     id="another kind under one index"),
        pytest.param([{"reasoning_details": [{"index": 0, "type": "reasoning.text", "text": "a", "signature": None}]},
                      {"reasoning_details": [{"index": 0, "type": "reasoning.text", "signature": "sig"}]},
                      {"reasoning_details": [{"index": 0, "type": "reasoning.text", "signature": "sig"}]}],
                     {"reasoning_details": [{"index": 0, "type": "reasoning.text", "text": "a", "signature": "sig"}]},
                     id="a signature that comes again"),
        pytest.param([{"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "h"}]}]},
                      {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "m"}]}]},
                      {"content": "ye"}, {"content": "s"}],
                     {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                                  {"type": "text", "text": "yes"}]},
                     id="docs.mistral.ai/capabilities/reasoning: parts without index"),
        pytest.param([{"audio": {"id": "a", "data": "AA"}}, {"audio": {"data": "BB", "transcript": "he"}},
                      {"audio": {"transcript": "y", "expires_at": 7}}],
                     {"audio": {"id": "a", "data": "AABB", "transcript": "hey", "expires_at": 7}},
                     id="platform.openai.com/docs/guides/audio"),
        pytest.param([{"reasoning_content": "a", "content": None}, {"reasoning_content": "b"}, {"content": "c"}],
                     {"reasoning_content": "ab", "content": "c"}, id="api-docs.deepseek.com/guides/reasoning_model"),
        pytest.param([{"refusal": "I "}, {"refusal": "cannot"}], {"refusal": "I cannot", "content": None}, id="a refusal"),
        pytest.param([{"function_call": {"name": "f", "arguments": "{"}}, {"function_call": {"arguments": "}"}}],
                     {"function_call": {"name": "f", "arguments": "{}"}}, id="function_call"),
        pytest.param([{"role": "assistant", "content": ""}, {"content": ""}, {"tool_calls": [{"index": 0, "id": "1"}]}],
                     {"content": "", "tool_calls": [{"id": "1"}]}, id="an empty content stays empty"),
        pytest.param([{"tool_calls": [{"index": 0, "id": "1"}]}], {"content": None, "tool_calls": [{"id": "1"}]},
                     id="an absent content stays absent"),
        pytest.param([{"content": "a", "annotations": [{"type": "url_citation", "url": "u"}]},
                      {"annotations": [{"type": "url_citation", "url": "v"}]}],
                     {"content": "a",
                      "annotations": [{"type": "url_citation", "url": "u"}, {"type": "url_citation", "url": "v"}]},
                     id="openrouter.ai/docs/features/web-search: a list without index"),
    ],
)  # fmt: skip
def test_texts_are_joined_and_everything_else_is_kept_once(deltas: list[Any], wanted: dict[str, Any]) -> None:
    found = message(read(*(chunk(delta) for delta in deltas), chunk({}, "stop"), DONE))
    assert {name: found.get(name) for name in wanted} == wanted


@pytest.mark.parametrize(
    ("events", "fault", "charged", "words"),
    [
        pytest.param([{"error": {"message": "bad key", "code": 401}}], "key", False, "bad key", id="a 401 before any token"),
        pytest.param([chunk({"content": "h"}), {"error": {"message": "bad key", "type": "authentication_error"}}], "key", True,
                     "bad key", id="a key that ends in between"),
        pytest.param([chunk({"content": "h"}), {"error": {"code": 502, "message": "request limit reached"}, "choices": []}],
                     "illness", True, "limit reached", id="OmniRoute#8210"),
        pytest.param([chunk({"content": "h"}), chunk({"content": ""}, "error", error={"code": 429, "message": "busy"})],
                     "capacity", True, "busy", id="local-operator#223: error beside the choice"),
        pytest.param([{"choices": [{"delta": {}, "finish_reason": "error", "error": {"code": 402, "message": "no"}}]}],
                     "credit", False, "no", id="genkit#6079: error in the choice"),
        pytest.param([chunk({"content": "h"}, "error")], "illness", True, "finish_reason error", id="a failed choice"),
        pytest.param([{"message": "too many", "code": 429}], "capacity", False, "too many", id="an error in other words"),
        pytest.param([{"object": "error", "message": "prompt is too long", "type": "BadRequestError", "code": 400}], "context",
                     False, "too long", id="vLLM: an error object"),
        pytest.param([{"choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}], "credit",
                     False, "balance", id="cherry-studio#11287: MiniMax"),
        pytest.param([chunk({"content": "h"}), {"error": "boom"}, chunk({}, "stop"), DONE], "illness", True, "boom",
                     id="an error, and the end after it"),
    ],
)  # fmt: skip
def test_an_error_in_a_stream_is_classed_by_the_code_it_carries(
    events: list[Any], fault: Fault, charged: bool, words: str
) -> None:
    found = read(*events)
    assert isinstance(found, Failure)
    assert (found.fault, found.charged, found.unusable) == (fault, charged, False)
    assert words in found.message


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (
            b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n',
            "capacity",
        ),
        (b'event: error\ndata: {"message":"Unauthorized","code":401}\n\n', "key"),
        (b"event: error\ndata: it broke\n\n", "illness"),
        (b'event:error\r\ndata:{"error":{"message":"x","code":"insufficient_quota"}}\r\n\r\n', "credit"),
    ],
    ids=["clicky#132", "only a message", "no JSON", "carriage returns"],
)
def test_an_event_named_error_is_one(raw: bytes, fault: Fault) -> None:
    found = read_raw(raw)
    assert isinstance(found, Failure)
    assert found.fault == fault


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([chunk({"content": "h"}, error=None), chunk({}, "stop", error=None)], id="new-api-horizon#9: error null"),
        pytest.param([chunk({"content": "h"}), chunk({}, "stop")], id="no [DONE]"),
        pytest.param([chunk({"content": "h"}, ""), chunk({"content": ""}, ""), chunk({}, "stop")], id="ollama#4357: empty"),
        pytest.param([b": OPENROUTER PROCESSING", chunk({"content": "h"}, "stop")], id="llm-gateway#2053: a comment as data"),
        pytest.param([b"", b" ", chunk({"content": "h"}, "stop"), b" [DONE] "], id="llmgateway#2334: empty data"),
        pytest.param([{"choices": [], "prompt_filter_results": []}, chunk({"content": "h"}, "stop")], id="Azure: a filter first"),
        pytest.param([{"type": "ping"}, chunk({"content": "h"}, "stop")], id="a ping"),
        pytest.param([chunk({"content": "h"}), chunk({}, "stop"), {"id": "c", "choices": [], "usage": None}], id="usage null"),
        pytest.param([{"choices": [{"delta": {"content": "h"}, "finish_reason": "stop"}]}], id="no index"),
        pytest.param([{"choices": [{"index": None, "delta": {"content": "h"}}]}, chunk({}, "stop")], id="index null"),
        pytest.param([{"choices": [{"index": 0, "message": {"content": "h"}, "finish_reason": "stop"}]}], id="a whole answer"),
        pytest.param([chunk({"content": "h"}), chunk(None, "stop"), {"choices": [{"index": 0, "delta": None}]}], id="delta null"),
        pytest.param([b"null", chunk({"content": "h"}, "stop")], id="null"),
    ],
)  # fmt: skip
def test_odd_but_good_streams_are_answers(events: list[Any]) -> None:
    assert message(read(*events))["content"] == "h"


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([], id="pi#2537: nothing"),
        pytest.param([DONE], id="only the end"),
        pytest.param([chunk({"content": "h"}), DONE], id="flow-components#9195: no finish reason"),
        pytest.param(
            [chunk({"content": "h"}), chunk({"content": "i"}, index=1), chunk({}, "stop"), DONE], id="one of two ended"
        ),
        pytest.param(
            [chunk({"content": "h"}), b'{"id":"c","choi', chunk({}, "stop")], id="codex2api#696: cut by a comment"
        ),
        pytest.param([chunk({"content": "h"}), "text", chunk({}, "stop")], id="a chunk that is no object"),
        pytest.param([chunk("text"), chunk({}, "stop")], id="a delta that is no object"),
    ],
)
def test_a_stream_that_is_not_whole_is_broken(events: list[Any]) -> None:
    found = read(*events)
    assert isinstance(found, Failure)
    assert (found.fault, found.charged) == ("illness", True)


@pytest.mark.parametrize(
    ("events", "total"),
    [
        ([chunk({"content": "h"}, "stop"), {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}, DONE], 7),
        ([chunk({"content": "h"}, usage={"prompt_tokens": 3, "completion_tokens": 1}),
          chunk({}, "stop", usage={"prompt_tokens": 3, "completion_tokens": 2})], 5),
        ([chunk({"content": "h"}, "stop", usage={"prompt_tokens": 3, "completion_tokens": 2}), {"usage": None}], 5),
        ([chunk({"content": "h"}, "stop", usage={"prompt_tokens": 3, "completion_tokens": 2}), chunk(usage={})], 5),
        ([chunk({"content": "h"}, "stop", x_groq={"id": "r", "usage": {"prompt_tokens": 3, "completion_tokens": 3}})], 6),
        ([{"choices": [{"index": 0, "delta": {"content": "h"}, "finish_reason": "stop",
                        "usage": {"prompt_tokens": 3, "completion_tokens": 5}}]}], 8),
    ],
    ids=["in the last chunk", "in every chunk", "null at the end", "empty at the end", "console.groq.com",
         "platform.moonshot.ai: in the choice"],
)  # fmt: skip
def test_the_usage_that_came_last_counts(events: list[Any], total: int) -> None:
    found = read(*events)
    assert isinstance(found, Answer)
    assert found.usage.total_tokens == total
    assert orjson.loads(found.body)["usage"]["prompt_tokens"] == 3


def test_an_emoji_cut_by_two_events_is_whole_and_half_a_one_is_replaced() -> None:
    """KohakuTerrarium#48."""
    half = [chunk({"content": "a\ud83d"}), chunk({"content": "\ude00b\ud83d"}), chunk({}, "length")]
    found = read(*half)
    assert message(found)["content"] == "a😀b\ufffd"
    assert isinstance(found, Answer)
    assert not found.whole


def test_padding_against_eavesdroppers_is_no_part_of_the_answer() -> None:
    """platform.openai.com/docs/api-reference/chat-streaming: obfuscation."""
    found = read(chunk({"content": "h"}, "stop", obfuscation="x8f3"))
    assert isinstance(found, Answer)
    assert "obfuscation" not in orjson.loads(found.body)


def test_size_is_about_what_is_kept() -> None:
    assembler = OpenaiFormat().assembler(Asked("chat.completions"))
    for _ in range(1000):
        assembler.feed(orjson.dumps(chunk({"content": "😀" * 10})))
    assert 40_000 <= assembler.size_bytes <= 41_000


@given(st.lists(st.text(max_size=5), max_size=2000))
def test_pieces_join_to_their_text(pieces: list[str]) -> None:
    text = Text("")
    for number, piece in enumerate(pieces):
        text.add(piece)
        if number % 700 == 0:
            str(text)
    assert str(text) == "".join(pieces)
