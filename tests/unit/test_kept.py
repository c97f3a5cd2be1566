"""What is known of an answer that is not whole, and the seam at which it is gone on with."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from streams.kept import Kept, Seam, Upstream, further
from streams.settings import Settings

HEAD = {"id": "c-1", "created": 7, "model": "small"}


def chunk(content: str | None = None, reason: str | None = None, **delta: Any) -> bytes:
    said = ({} if content is None else {"content": content}) | delta
    choice = {"index": 0, "delta": said, "finish_reason": reason}
    return orjson.dumps({**HEAD, "object": "chat.completion.chunk", "choices": [choice]})


def kept(*texts: str, upstream: Upstream | None = None, reason: str | None = None) -> Kept:
    found = Kept(upstream)
    for text in texts:
        found.take(chunk(text))
    if reason is not None:
        found.take(chunk(reason=reason))
    return found


def said(chunks: Any) -> str:
    return "".join(
        choice["delta"].get("content") or "" for each in chunks for choice in orjson.loads(each).get("choices", ())
    )


def joined(told: str, *answer: str) -> str:
    """What a reader has behind the seam; the upstream ends its answer."""
    seam = Seam(kept(told))
    chunks = [each for text in answer for each in seam.feed(chunk(text))]
    chunks += seam.feed(chunk(reason="stop"))
    assert not seam.anew
    return told + said(chunks)


@given(st.lists(st.text(), max_size=8), st.integers(1, 5))
def test_what_is_told_again_says_the_same(texts: list[str], twice: int) -> None:
    found = kept(*texts)
    for _ in range(twice):
        again = Kept()
        for each in found.retold():
            again.take(each)
        found = again
    assert found.text == "".join(texts)
    assert not texts or found.head == HEAD


@pytest.mark.parametrize(
    "more",
    [
        {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{"}}]},
        {"reasoning_content": "hm"},
        {"reasoning": "hm"},
        {"refusal": "no"},
    ],
    ids=lambda more: next(iter(more)),
)
def test_only_a_text_is_gone_on_with(more: dict[str, Any]) -> None:
    found = kept("a text")
    assert found.goes_on
    found.take(chunk(**more))
    assert not found.goes_on
    assert not found.is_whole


@pytest.mark.parametrize(
    "data",
    [b"[]", b"{", b'{"choices": 7}', b'{"choices": [{"index": 1, "delta": {"content": "b"}}]}', b'{"choices": [7]}'],
)
def test_several_choices_and_nonsense_are_not_gone_on_with(data: bytes) -> None:
    found = kept("a text")
    found.take(data)
    assert not found.goes_on


def test_white_space_alone_and_an_answer_that_has_ended_are_not_gone_on_with() -> None:
    assert not kept(" \n").goes_on
    assert not kept("all of it", reason="stop").goes_on
    assert kept("all of it", reason="stop").is_whole


@pytest.mark.parametrize(
    ("told", "answer", "whole"),
    [
        ("Hello ", [" world"], "Hello world"),
        ("Hello ", ["world"], "Hello world"),
        ("Hello", [" world"], "Hello world"),
        ("one\n\n", ["\n\n", "two"], "one\n\ntwo"),
        ("one\n\n", ["\n", "two"], "one\n\ntwo"),
        ("one ", [" ", " two"], "one  two"),
    ],
)
def test_white_space_at_the_seam_counts_once(told: str, answer: list[str], whole: str) -> None:
    """Templates strip the end of the last message (huggingface/transformers#33198), so that a model says it again."""
    assert joined(told, *answer) == whole


@given(st.text(min_size=20, max_size=80), st.integers(1, 79), st.integers(1, 9))
def test_an_answer_is_the_same_wherever_it_is_cut(whole: str, at: int, size: int) -> None:
    """Of an upstream that is given the text without the white space at its end, and goes on with just what is missing."""
    told = whole[:at]
    if not told.strip() or whole[: len(told)].startswith(whole[len(told.rstrip()) :][:16]):
        return
    rest = whole[len(told.rstrip()) :]
    assert joined(told, *(rest[start : start + size] for start in range(0, len(rest), size))) == whole


def test_an_upstream_that_begins_anew_is_noticed() -> None:
    """Servers that do not know `continue_final_message` answer from the start (BerriAI/litellm#28580)."""
    text = "The quick brown fox jumps over the lazy dog"
    seam = Seam(kept(text[:30]))
    for start in range(0, len(text), 4):
        seam.feed(chunk(text[start : start + 4]))
    assert seam.anew


def test_chunks_behind_the_seam_bear_the_name_of_the_first_ones() -> None:
    seam = Seam(kept("one two three"))
    other = orjson.dumps({"id": "c-2", "created": 9, "choices": [{"index": 0, "delta": {"role": "assistant"}}]})
    told = [*seam.feed(other), *seam.feed(chunk(" and four and five")), *seam.feed(b"[DONE]")]
    assert {orjson.loads(each)["id"] for each in told[:-1]} == {"c-1"}
    assert told[-1] == b"[DONE]"


@given(st.text(max_size=20), st.integers(0, 20))
def test_the_further_of_two_attempts_counts_where_both_say_the_same(text: str, at: int) -> None:
    assert further(kept(text), kept(text[:at])).text == text
    assert further(kept(text[:at]), kept(text)).text == text


def test_a_later_attempt_that_says_otherwise_or_is_another_answer_of_the_upstream_counts() -> None:
    assert further(kept("one two"), kept("one three")).text == "one three"
    first, second = Upstream("p", 0, "m", "resp_1"), Upstream("p", 0, "m", "resp_2")
    assert further(kept("one two", upstream=first), kept("one", upstream=second)).text == "one"


@pytest.mark.parametrize("upstream", [Upstream("sim", 1, "small"), Upstream("sim", 0, "m", "resp_1")])
def test_where_an_answer_is_made_survives_the_log(upstream: Upstream) -> None:
    assert Upstream.read(upstream.encode()) == upstream


@pytest.mark.parametrize("header", [None, b"", b"{}", b"[1,2,3,4]", b'["a",0,"m",7]', b"\xff", b'["a",0,"m"]'])
def test_what_names_no_upstream_is_none(header: bytes | None) -> None:
    assert Upstream.read(header) is None


@pytest.mark.parametrize("form", ["openai", "responses", "anthropic"])
@pytest.mark.parametrize("policy", ["error", "restart", "reattach", "continue"])
def test_a_policy_needs_the_format_that_can_do_it(form: str, policy: str) -> None:
    given = {"name": "p", "format": form, "stream_on_loss": policy, "endpoints": [{"url": "http://localhost:1/v1"}]}
    needs = {"reattach": "responses", "continue": "openai"}.get(policy, form)
    if form == needs:
        Settings.model_validate({"providers": [given]})
    else:
        with pytest.raises(ValidationError, match=f'needs format = "{needs}"'):
            Settings.model_validate({"providers": [given]})
