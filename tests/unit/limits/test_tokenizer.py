"""Text that is measured by a tokenizer, where one is installed."""

import sys

import pytest

from streams.limits.token_estimate import BYTES, Estimate, Measure, TokenEstimator
from streams.limits.tokenizer import measure_of
from streams.settings import SettingsError


def estimate(estimator: TokenEstimator, text: str) -> Estimate:
    payload = {"model": "m", "messages": [{"role": "user", "content": text}], "max_tokens": 1}
    return estimator.estimate("chat.completions", payload)


def test_without_a_tokenizer_bytes_are_the_measure() -> None:
    assert measure_of("none") is BYTES


def test_a_tokenizer_that_is_not_installed_is_one_line_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "toktok", None)
    with pytest.raises(SettingsError, match=r"pip install 'headrace\[tokenizer\]'"):
        measure_of("o200k_base")


def test_what_is_learnt_is_how_many_tokens_a_unit_of_the_measure_is() -> None:
    estimator = TokenEstimator(500, Measure(lambda text: len(text.split()), first=1.0, least=0.5, most=3.0))
    text = "word " * 200
    assert estimate(estimator, text).text_length == 200
    for _ in range(16):
        found = estimate(estimator, text)
        payload = {"model": "m"}
        estimator.observe(payload, found, found.fixed + 260, 1)
    assert estimate(estimator, text).input == pytest.approx(found.fixed + 260, abs=2)


@pytest.mark.parametrize(
    ("text", "tokens"), [("hello world", 2), ("word " * 7_000, 7_001), ("cut \ud800 off", None), ("", 0)]
)
def test_a_tokenizer_counts_any_text(text: str, tokens: int | None) -> None:
    pytest.importorskip("toktok", reason="the extra `tokenizer` is not installed")
    found = measure_of("o200k_base").length(text)
    assert found == tokens if tokens is not None else found > 0
