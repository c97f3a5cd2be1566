"""Filters as URLs say them."""

from __future__ import annotations

from urllib.parse import parse_qs, urlencode

import pytest
from hypothesis import given

from ops.ui.index.filters import FilterError, Filters, read_filters
from tests.unit.ui.models import T0
from tests.unit.ui.test_store import filters


@given(filters())
def test_a_view_is_what_its_url_says(wanted: Filters) -> None:
    assert read_filters(parse_qs(urlencode(wanted.query()))) == wanted


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"status": ["well"]}, "status: waiting, ok"),
        ({"class": ["urgent"]}, "class: high, normal, low"),
        ({"agent": ["x" * 257]}, "agent: at most 256"),
        ({"slower": ["-1"]}, "slower: milliseconds"),
        ({"slower": ["9" * 13]}, "slower: milliseconds"),
        ({"since": ["15"]}, "since: a duration"),
        ({"from": ["yesterday"]}, "from: a time"),
        ({"from": ["2026-01-02"], "to": ["2026-01-01"]}, "from has to be before to"),
    ],
)
def test_what_cannot_be_looked_for_is_named(query: dict[str, list[str]], says: str) -> None:
    with pytest.raises(FilterError, match=says):
        read_filters(query)


def test_empty_fields_of_the_form_and_strangers_parameters_are_no_filters() -> None:
    assert read_filters({"agent": ["", " "], "from": [""], "utm_source": ["x"]}) == Filters()


def test_since_is_counted_from_now_and_the_later_beginning_counts() -> None:
    assert Filters(since="15m").at(T0).from_ms == T0 - 900_000
    assert Filters(since="15m", from_ms=T0 - 1000).at(T0).from_ms == T0 - 1000


def test_a_time_without_a_zone_is_utc() -> None:
    assert read_filters({"from": ["2026-01-31T14:00:00"]}) == read_filters({"from": ["2026-01-31T15:00:00+01:00"]})
