import collections
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ops.provider_sim.answers import chat_answer, chat_tokens, embeddings_answer
from ops.provider_sim.behaviour import Plan, plan_call
from ops.provider_sim.settings import Hint, SimSettings


def plan(settings: SimSettings, hint: Hint | None = None, rng: random.Random | None = None, **more: int) -> Plan:
    arguments = {"completion_tokens": 0, "earlier_calls": 0, **more}
    return plan_call(settings, hint or Hint(), rng=rng or random.Random(0), **arguments)


def chat(content: object = "hi", **more: object) -> dict[str, Any]:
    return {"model": "small", "messages": [{"role": "user", "content": content}], **more}


@given(st.floats(0, 1000), st.floats(0, 1000), st.floats(0, 100), st.integers(0, 1000))
def test_without_jitter_the_time_is_the_models(
    latency_ms: float, ttft_ms: float, per_token_ms: float, tokens: int
) -> None:
    settings = SimSettings(latency_ms=latency_ms, ttft_ms=ttft_ms, per_token_ms=per_token_ms)
    expected_ms = latency_ms + ttft_ms + per_token_ms * tokens
    assert plan(settings, completion_tokens=tokens).delay_s == pytest.approx(expected_ms / 1000)


def test_jitter_keeps_the_median_and_repeats_with_the_seed() -> None:
    settings = SimSettings(latency_ms=100, jitter=0.5)

    def times(seed: int) -> list[float]:
        rng = random.Random(seed)
        return [plan(settings, rng=rng).delay_s for _ in range(2001)]

    assert times(1) == times(1)
    assert times(1) != times(2)
    assert sorted(times(1))[1000] == pytest.approx(0.1, rel=0.05)


def test_a_hinted_latency_is_exact() -> None:
    settings = SimSettings(latency_ms=100, jitter=1)
    assert plan(settings, Hint(latency_ms=8000)).delay_s == 8.0


def test_faults_come_in_their_shares() -> None:
    settings = SimSettings(error_share=0.2, error_status=503, rate_limited_share=0.1, hang_share=0.05)
    rng = random.Random(5)
    plans = [plan(settings, rng=rng) for _ in range(10_000)]
    counts = collections.Counter((p.outcome, p.status) for p in plans)
    assert counts["error", 503] == pytest.approx(2000, rel=0.1)
    assert counts["rate_limited", 429] == pytest.approx(1000, rel=0.1)
    assert counts["hang", 200] == pytest.approx(500, rel=0.2)
    assert counts["ok", 200] == 10_000 - counts["error", 503] - counts["rate_limited", 429] - counts["hang", 200]


def test_shares_over_one_are_refused() -> None:
    with pytest.raises(ValidationError, match="add up to more than 1"):
        SimSettings(error_share=0.6, hang_share=0.6)


def test_a_request_can_fail_its_first_calls_only() -> None:
    hint = Hint(id="a", status=503, fail_first=2)
    outcomes = [plan(SimSettings(), hint, earlier_calls=calls).outcome for calls in range(4)]
    assert outcomes == ["error", "error", "ok", "ok"]


def test_a_hint_goes_before_the_faults_of_all() -> None:
    assert plan(SimSettings(hang_share=1), Hint(status=200)).outcome == "ok"
    assert plan(SimSettings(), Hint(status=429, retry_after_s=7)) == Plan(0, 0, "rate_limited", 429, 7)


def test_completion_tokens_are_the_lesser_of_max_tokens_and_hint() -> None:
    tokens = chat_tokens(chat(max_tokens=64), Hint(completion_tokens=120))
    assert (tokens.completion, tokens.cut) == (64, True)
    tokens = chat_tokens(chat(max_tokens=640), Hint(completion_tokens=120))
    assert (tokens.completion, tokens.cut) == (120, False)


def test_prompt_tokens_are_a_quarter_of_the_texts_bytes_unless_hinted() -> None:
    assert chat_tokens(chat("x" * 400), Hint()).prompt == 100
    parts = [{"type": "text", "text": "x" * 40}, {"type": "image_url", "image_url": {"url": "…"}}]
    assert chat_tokens(chat(parts), Hint()).prompt == 10
    assert chat_tokens(chat("x" * 400), Hint(prompt_tokens=7)).prompt == 7


@given(st.text(min_size=1), st.integers(1, 500))
def test_an_answer_is_a_function_of_the_body_and_not_of_its_hints(content: str, max_tokens: int) -> None:
    body = chat(content, max_tokens=max_tokens)
    hinted = body | {"headrace_sim": {"latency_ms": 8}}
    tokens = chat_tokens(body, Hint())
    assert chat_answer(body, tokens, 0) == chat_answer(hinted, chat_tokens(hinted, Hint(latency_ms=8)), 0)
    assert len(chat_answer(body, tokens, 0)["choices"][0]["message"]["content"]) == tokens.completion * 4


@given(st.lists(st.text(min_size=1), min_size=1, max_size=5))
def test_merged_embeddings_are_what_single_ones_are(texts: list[str]) -> None:
    def vectors(given_input: object) -> list[list[float]]:
        answer = embeddings_answer({"model": "embed", "input": given_input, "dimensions": 8}, Hint())
        return [item["embedding"] for item in answer["data"]]

    merged = vectors(texts)
    assert merged == [vectors(text)[0] for text in texts]
    assert all(sum(x * x for x in vector) == pytest.approx(1, abs=1e-5) for vector in merged)
