"""The simulator's limits against an obvious model: no window of time holds more than it may."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.provider_sim.limits import Bucket, Limits, Window, openai_headers
from ops.provider_sim.settings import SimSettings

Arrivals = list[tuple[float, int]]
arrivals = st.lists(st.tuples(st.floats(0, 40), st.integers(1, 120)), max_size=60)


def admitted(meter: Bucket | Window, given_arrivals: Arrivals) -> Arrivals:
    now, found = 0.0, []
    for pause_s, tokens in given_arrivals:
        now += pause_s
        if meter.admit(tokens, now).admitted:
            found.append((now, tokens))
    return found


@given(arrivals)
def test_no_window_of_60_s_admits_more_than_the_limits(given_arrivals: Arrivals) -> None:
    found = admitted(Window(requests=5, tokens=100, window_s=60), given_arrivals)
    for start, _ in found:
        inside = [tokens for at, tokens in found if start <= at < start + 60]
        assert len(inside) <= 5
        assert sum(inside) <= 100


@given(arrivals)
def test_a_bucket_admits_its_capacity_and_what_flows_in_and_no_more(given_arrivals: Arrivals) -> None:
    found = admitted(Bucket(requests=5, tokens=100, window_s=60), given_arrivals)
    for first, (start, _) in enumerate(found):
        for last in range(first, len(found)):
            inside = [tokens for _, tokens in found[first : last + 1]]
            share = (found[last][0] - start) / 60
            assert len(inside) <= 5 * (1 + share) + 1e-6
            assert sum(inside) <= 100 * (1 + share) + 1e-6


@pytest.mark.parametrize("kind", [Bucket, Window])
def test_a_refused_call_fits_when_it_was_told_to_come_again(kind: type[Bucket] | type[Window]) -> None:
    meter = kind(requests=10, tokens=100, window_s=60)
    assert meter.admit(80, 0.0).admitted
    refused = meter.admit(50, 10.0)
    assert not refused.admitted
    assert refused.tokens_left < 50
    assert not meter.admit(50, 10.0 + refused.retry_after_s - 0.01).admitted
    assert meter.admit(50, 10.0 + refused.retry_after_s + 0.01).admitted


@pytest.mark.parametrize("kind", [Bucket, Window])
def test_what_is_larger_than_the_limit_never_fits(kind: type[Bucket] | type[Window]) -> None:
    assert kind(requests=10, tokens=100, window_s=60).admit(101, 0.0).retry_after_s == math.inf


def test_each_model_has_limits_of_its_own_and_is_counted() -> None:
    limits = Limits(SimSettings(limit="token_bucket", limit_tokens=100))
    for model in ("small", "large"):
        first, second = limits.admit(model, 90, 0.0), limits.admit(model, 90, 0.0)
        assert first is not None
        assert second is not None
        assert (first.admitted, second.admitted) == (True, False)
        assert (limits.used[model].tokens, limits.used[model].refused) == (90, 1)


def test_headers_say_what_is_left_and_when_to_come_again() -> None:
    settings = SimSettings(limit="token_bucket", limit_requests=60, limit_tokens=600)
    limits = Limits(settings)
    limits.admit("small", 600, 0.0)
    refused = limits.admit("small", 60, 0.5)
    assert refused is not None
    headers = openai_headers(settings, refused)
    assert headers["x-ratelimit-limit-tokens"] == "600"
    assert headers["x-ratelimit-remaining-tokens"] == "5"
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("6", "5500")
