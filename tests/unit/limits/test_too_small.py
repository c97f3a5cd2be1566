"""A limit that the load cannot live with is told in words, and no other is."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from streams.limits.amount import Amount
from streams.limits.build import Budgets, shared_budgets
from streams.limits.route import Route
from streams.limits.worker.too_small import too_small
from streams.settings import Settings
from topics.names import PRIORITIES, Priority

PATIENCE: dict[Priority, float] = {"high": 10.0, "normal": 30.0, "low": 60.0}


def test_the_readme_s_load_and_limit_are_told_with_what_to_change() -> None:
    """20 requests a second of 1,000 tokens under the default of 90,000 tokens a minute; most expired without a word."""
    found = too_small("main", {"low": (540, 540_000)}, Amount(inf, 90_000), 60.0, PATIENCE)
    assert found is not None
    for words in (
        "540,000 tokens",
        "90,000 a minute",
        "360 s",
        "providers.main.rate_limit.tokens",
        "queueing.timeout.low",
    ):
        assert words in str(found)


def test_what_waits_and_fits_is_no_reason_to_warn() -> None:
    assert too_small("main", {"high": (5, 5_000), "low": (80, 80_000)}, Amount(inf, 90_000), 60.0, PATIENCE) is None


def test_a_class_that_is_served_later_waits_for_those_before_it() -> None:
    found = too_small("main", {"high": (100, 0), "low": (1, 0)}, Amount(60, inf), 60.0, {**PATIENCE, "high": 200.0})
    assert found is not None
    assert (found.priority, found.resource, found.clears_in_s) == ("low", "requests", 101.0)


@given(
    st.dictionaries(st.sampled_from(PRIORITIES), st.tuples(st.integers(0, 500), st.integers(0, 10**6))),
    st.integers(1, 1000),
    st.integers(1, 10**6),
)
def test_it_warns_where_serving_one_after_the_other_is_too_late(
    waiting: dict[Priority, tuple[int, int]], requests: int, tokens: int
) -> None:
    late, done = False, [0.0, 0.0]
    for priority in ("high", "normal", "low"):
        for index, rate in enumerate((requests / 60, tokens / 60)):
            done[index] += waiting.get(priority, (0, 0))[index] / rate
            late |= waiting.get(priority, (0, 0))[index] > 0 and done[index] > PATIENCE[priority] + 1e-6
    found = too_small("main", waiting, Amount(requests, tokens), 60.0, PATIENCE)
    close = any(abs(seconds - patience) < 1e-3 for seconds in done for patience in PATIENCE.values())
    assert close or (found is not None) == late


def test_a_worker_says_it_once_a_minute_and_by_the_limit_that_is_in_force() -> None:
    provider = {
        "name": "main",
        "endpoints": [{"url": "http://127.0.0.1:9/v1"}],
        "rate_limit": {"tokens": "90000/minute"},
    }
    settings = Settings.model_validate({"providers": [provider]})
    route = Route("main", "")
    waiting: dict[Route, dict[Priority, tuple[int, int]]] = {route: {"low": (5_400, 5_400_000)}}
    budgets = Budgets(shared_budgets(settings, "w", waiting=lambda: waiting, alive=lambda: True))
    with capture_logs() as said:
        for now in range(0, 100, 5):
            budgets.report(settings, float(now))
    assert len(said) == 2
    assert "5,400,000 tokens wait for main" in said[0]["why"]
