"""Durations in log buckets: counts are exact, quantiles within 1.1 %, and merging loses nothing."""

from __future__ import annotations

from math import ceil, fsum

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from schemas.histogram import FIRST_BUCKET, LAST_BUCKET, Histogram
from streams.metrics.histogram import Durations, merge, quantile, since, upper_ms

LEAST_MS, MOST_MS = 0.1, 600_000.0
durations_ms = st.floats(LEAST_MS, MOST_MS)
shares = st.sampled_from([0.0, 0.01, 0.5, 0.9, 0.95, 0.99, 1.0])


def counted(*ms: float) -> Durations:
    made = Durations()
    for each in ms:
        made.add(each / 1000)
    return made


def histogram_of(*ms: float) -> Histogram:
    return since(counted(*ms), Durations().counts, 0.0)


@given(st.lists(durations_ms, min_size=1, max_size=200), shares)
def test_a_quantile_is_within_11_thousandths_of_the_exact_one(ms: list[float], q: float) -> None:
    exact = sorted(ms)[max(1, ceil(q * len(ms))) - 1]
    assert quantile(histogram_of(*ms), q) == pytest.approx(exact, rel=0.0109)


@given(st.lists(st.lists(durations_ms, max_size=20), max_size=8), st.randoms())
def test_merged_parts_are_the_whole_in_whatever_order(parts: list[list[float]], random: object) -> None:
    histograms = [histogram_of(*part) for part in parts]
    merged = merge(histograms)
    whole = histogram_of(*(each for part in parts for each in part))
    assert (merged.buckets, merged.counts) == (whole.buckets, whole.counts)
    assert merged.sum_ms == pytest.approx(whole.sum_ms, abs=0.001 * (len(parts) + 1))
    random.shuffle(histograms)  # type: ignore[attr-defined]
    assert merge(histograms) == merged


@given(st.lists(durations_ms, max_size=50), st.lists(durations_ms, max_size=50))
def test_what_is_counted_since_a_moment_is_what_came_after_it(before: list[float], after: list[float]) -> None:
    both = counted(*before)
    counts, sum_ms = list(both.counts), both.sum_ms
    for each in after:
        both.add(each / 1000)
    found = since(both, counts, sum_ms)
    assert (found.buckets, found.counts) == (histogram_of(*after).buckets, histogram_of(*after).counts)
    assert found.sum_ms == pytest.approx(fsum(after), abs=0.01)


@pytest.mark.parametrize("power", range(-3, 19))
def test_a_bound_belongs_to_the_bucket_below_it(power: int) -> None:
    ms = 2.0**power
    (bucket,) = histogram_of(ms).buckets
    assert upper_ms(bucket) == ms
    assert histogram_of(ms * 1.0001).buckets == (bucket + 1,)


def test_what_is_too_short_or_too_long_is_counted_at_the_ends() -> None:
    assert histogram_of(0, 0.01, 0.09).buckets == (FIRST_BUCKET,)
    assert histogram_of(MOST_MS * 2, 86_400_000).buckets == (LAST_BUCKET,)
    assert quantile(histogram_of(86_400_000), 0.5) == pytest.approx(MOST_MS, rel=0.02)


def test_nothing_has_no_quantile() -> None:
    assert quantile(Histogram(), 0.5) is None


def test_a_minute_of_real_latencies_takes_less_than_two_kilobytes() -> None:
    ms = [40 * 1.0012**n for n in range(4000)]  # 40 ms to 4.8 s
    assert len(TypeAdapter(Histogram).dump_json(histogram_of(*ms))) < 2_000


@pytest.mark.parametrize(
    "value",
    [
        b'{"buckets": [2, 1], "counts": [1, 1]}',
        b'{"buckets": [1, 1], "counts": [1, 1]}',
        b'{"buckets": [1], "counts": []}',
        b'{"buckets": [700], "counts": [1]}',
        b'{"buckets": [1], "counts": [-1]}',
    ],
)
def test_a_histogram_that_contradicts_itself_is_refused(value: bytes) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Histogram).validate_json(value)
