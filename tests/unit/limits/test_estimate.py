"""Estimates of tokens: on the safe side, learnt, bounded."""

import random
from typing import Any

import pytest

from streams.limits.token_estimate import TokenEstimator


def chat(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "small", "messages": [{"role": "user", "content": text}], **more}


def learnt(estimator: TokenEstimator, tokens_a_byte: float, count: int = 64, output: int = 100) -> None:
    draw = random.Random(1)
    for _ in range(count):
        payload = chat("x" * draw.randint(200, 4_000))
        estimate = estimator.estimate("chat.completions", payload)
        prompt = estimate.fixed + round(estimate.text_length * tokens_a_byte * draw.uniform(0.9, 1.1))
        estimator.observe(payload, estimate, prompt, round(output * draw.uniform(0.5, 1.5)))


def test_a_new_model_is_estimated_above_what_english_takes() -> None:
    estimate = TokenEstimator(500).estimate("chat.completions", chat("x" * 4_000, max_tokens=10))
    assert 1_000 < estimate.input < 1_300
    assert estimate.output == 10


@pytest.mark.parametrize("tokens_a_byte", [0.15, 0.25, 0.5])
def test_what_was_seen_makes_the_estimate_close_and_rarely_too_low(tokens_a_byte: float) -> None:
    estimator = TokenEstimator(500)
    learnt(estimator, tokens_a_byte)
    draw = random.Random(2)
    low = 0
    for _ in range(200):
        payload = chat("x" * draw.randint(200, 4_000), max_tokens=0)
        estimate = estimator.estimate("chat.completions", payload)
        real = estimate.fixed + estimate.text_length * tokens_a_byte * draw.uniform(0.9, 1.1)
        low += estimate.input < real
        assert estimate.input < real * 1.3
    assert low <= 20


def test_a_model_learns_for_itself_alone() -> None:
    estimator = TokenEstimator(500)
    before = estimator.estimate("chat.completions", chat("x" * 1_000) | {"model": "other"})
    learnt(estimator, 0.9)
    assert estimator.estimate("chat.completions", chat("x" * 1_000) | {"model": "other"}) == before


def test_nonsense_from_a_provider_stays_within_bounds() -> None:
    estimator = TokenEstimator(500)
    for _ in range(64):
        payload = chat("x" * 1_000)
        estimator.observe(payload, estimator.estimate("chat.completions", payload), 10**9, 0)
    assert estimator.estimate("chat.completions", chat("x" * 1_000, max_tokens=0)).tokens <= 1_000 + 20


def test_the_bound_of_the_answer_is_what_the_caller_set() -> None:
    estimator = TokenEstimator(500)
    assert estimator.estimate("chat.completions", chat("hi", max_tokens=7)).output == 7
    assert estimator.estimate("chat.completions", chat("hi", max_tokens=7, max_completion_tokens=9)).output == 9
    assert estimator.estimate("chat.completions", chat("hi", max_tokens=7, n=3)).output == 21
    assert estimator.estimate("chat.completions", chat("hi")).output == 500


def test_answers_without_a_bound_are_learnt() -> None:
    estimator = TokenEstimator(4_000)
    learnt(estimator, 0.25, output=100)
    assert 100 < estimator.estimate("chat.completions", chat("hi")).output <= 150


def test_embeddings_have_input_alone() -> None:
    estimator = TokenEstimator(500)
    one = estimator.estimate("embeddings", {"model": "embed", "input": "x" * 400})
    many = estimator.estimate("embeddings", {"model": "embed", "input": ["x" * 400] * 10})
    assert one.output == many.output == 0
    assert many.input >= 9 * one.input
    assert estimator.estimate("embeddings", {"model": "embed", "input": [[1, 2, 3]]}).tokens >= 3


def test_an_image_is_no_text() -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 1_000_000}}
    estimate = TokenEstimator(500).estimate(
        "chat.completions", {"model": "small", "messages": [{"role": "user", "content": [part]}], "max_tokens": 1}
    )
    assert 1_000 < estimate.tokens < 3_000


def test_tools_are_counted() -> None:
    estimator = TokenEstimator(500)
    tools = [{"type": "function", "function": {"name": "f", "description": "y" * 4_000}}]
    more = estimator.estimate("chat.completions", chat("hi", tools=tools)).input
    assert more > estimator.estimate("chat.completions", chat("hi")).input + 1_000


@pytest.mark.parametrize("messages", [None, "text", [1], [{"content": 7}], [{"content": [7, "x", {"text": 1}]}]])
def test_a_payload_of_any_shape_is_estimated(messages: Any) -> None:
    payload = {"model": "small", "messages": messages, "max_tokens": True, "n": "x"}
    assert TokenEstimator(500).estimate("chat.completions", payload).tokens >= 500


@pytest.mark.parametrize(
    ("real_tokens", "text"),
    [
        (
            64_281,
            "the quick brown fox jumps over the lazy dog and then it ",
        ),  # 4.7 bytes a token: it was refused for good
        (60_000, "word "),
        (20_000, "        "),  # eight spaces are one token or two
    ],
)
def test_the_least_that_a_call_takes_is_below_what_it_takes(real_tokens: int, text: str) -> None:
    prompt = (text * 400_000)[: int(real_tokens * {"t": 4.7, "w": 5.0, " ": 8.0}[text[0]])]
    estimate = TokenEstimator(500).estimate("chat.completions", chat(prompt, max_tokens=16))
    assert estimate.least_input <= real_tokens <= estimate.input
    assert estimate.least_output == 16


def test_nothing_that_was_learnt_raises_the_least() -> None:
    estimator = TokenEstimator(500)
    before = estimator.estimate("chat.completions", chat("x" * 4_000))
    learnt(estimator, 0.9)
    after = estimator.estimate("chat.completions", chat("x" * 4_000))
    assert after.input > before.input
    assert after.least_input == before.least_input
    assert after.least_output == 0  # nobody set a bound


def test_the_usual_answer_is_what_was_seen_and_at_most_the_bound() -> None:
    estimator = TokenEstimator(4_000)
    assert estimator.estimate("chat.completions", chat("hi", max_tokens=50)).usual_output == 50
    learnt(estimator, 0.25, output=100)
    long = estimator.estimate("chat.completions", chat("hi", max_tokens=8_000))
    assert (long.output, 100 < long.usual_output <= 150) == (8_000, True)


def test_inputs_given_as_tokens_are_certain() -> None:
    estimate = TokenEstimator(500).estimate("embeddings", {"model": "embed", "input": [[1] * 300]})
    assert estimate.least_input == 300


def test_estimates_of_several_are_one_by_the_first_ones_caller() -> None:
    estimator = TokenEstimator(500)
    one, other = (estimator.estimate("embeddings", {"model": "e", "input": "x" * 100}, caller) for caller in "ab")
    both = one + other
    assert (both.tokens, both.text_length, both.caller) == (2 * one.tokens, 200, "a")


def test_parts_of_an_estimate_are_together_no_less_than_the_whole() -> None:
    whole = TokenEstimator(500).estimate("embeddings", {"model": "e", "input": ["x" * 100] * 7}, "a")
    parts = [whole.part(3, 7), whole.part(3, 7), whole.part(1, 7)]
    assert whole.tokens <= sum(part.tokens for part in parts) <= whole.tokens + 3
    assert parts[0].caller == "a"
