"""What a producer says of the time is believed as far as it may be true."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.intake.dated import dated

NOW = 1_800_000_000.0
NOW_MS = 1_800_000_000_000


def made(timestamp: int | None, timestamp_type: int | None) -> Any:
    return SimpleNamespace(
        offset=7, timestamp=timestamp, timestamp_type=timestamp_type, key=b"k", value=b"v", headers=[("h", b"1")]
    )


@pytest.mark.parametrize(
    "timestamp",
    [
        pytest.param(0, id="confluentinc/librdkafka#1238: 0"),
        pytest.param(-1, id="no timestamp"),
        pytest.param(None, id="a message from before timestamps"),
        pytest.param(int(NOW), id="redis-field-engineering/redis-kafka-connect#15: seconds for milliseconds"),
        pytest.param(NOW_MS * 1000, id="apache/kafka#4473: microseconds for milliseconds"),
        pytest.param(332_800_244, id="apache/kafka#22849: the time since the machine's start"),
        pytest.param(253_402_300_799_999, id="the end of the year 9999"),
        pytest.param(4_070_908_800_000, id="KIP-1334: the year 2099"),
        pytest.param(2**63 - 1, id="the largest that fits"),
        pytest.param(-(2**63), id="the least that fits"),
        pytest.param(NOW_MS + 3_600_000, id="a producer an hour ahead"),
        pytest.param(NOW_MS - 25 * 3_600_000, id="openmeterio/openmeter#5005: the time of an event of yesterday"),
    ],
)
def test_a_producers_time_that_cannot_be_counts_as_now(timestamp: int | None) -> None:
    (record,) = dated([made(timestamp, 0)], NOW)
    assert (record.offset, record.timestamp, record.key, record.value, record.headers) == (
        7, NOW_MS, b"k", b"v", [("h", b"1")],
    )  # fmt: skip


@pytest.mark.parametrize("age_ms", [0, 1, 3_600_000, 24 * 3_600_000])
def test_a_producers_time_of_the_last_day_is_believed(age_ms: int) -> None:
    record = made(NOW_MS - age_ms, 0)
    assert dated([record], NOW) == [record]


@given(st.integers(-(2**63), 2**63 - 1))
def test_the_brokers_time_is_always_believed(timestamp: int) -> None:
    records = [made(timestamp, 1)]
    assert dated(records, NOW) is records


def test_an_empty_list_stays_empty() -> None:
    assert dated((), NOW) == ()
