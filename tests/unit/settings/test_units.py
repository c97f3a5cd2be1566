"""Units: what is written, what it becomes, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.settings.units import (
    BANDWIDTH_LIMIT,
    DURATION,
    RATE,
    RATE_LIMIT,
    SHARE,
    SIZE,
    Rate,
    Unit,
    parse_count,
    parse_duration,
    parse_flag,
    parse_rate,
    parse_share,
    parse_size,
    write_duration,
    write_share,
    write_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("30s", 30.0), ("5m", 300.0), ("24h", 86_400.0), ("14d", 1_209_600.0), ("1.5s", 1.5), ("0s", 0.0)],
)
def test_a_duration_becomes_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("512B", 512), ("1KB", 1000), ("50MB", 50_000_000), ("1GB", 10**9), ("1MiB", 1_048_576), ("1.5 KB", 1500)],
)
def test_a_size_becomes_bytes(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize(
    ("text", "rate"), [("1000/s", Rate(1000, 1)), ("3500/minute", Rate(3500, 60)), ("10/hour", Rate(10, 3600))]
)
def test_a_rate_keeps_its_amount_and_its_period(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate
    assert str(rate) == text


def test_a_share_is_exact_to_the_digit() -> None:
    assert parse_share("99.9%") == 0.999
    assert parse_share("0.1%") == 0.001


@pytest.mark.parametrize("unit", [DURATION, SIZE, RATE, SHARE])
@pytest.mark.parametrize(
    "value",
    [30, 1.5, "30", "", "-1s", "s", "1 parsec", "1e9s", "inf", "nan", "٣s", True, None, [], "1s\n", "9" * 400 + "s"],
)
def test_a_value_without_its_unit_is_refused_with_the_allowed_form(unit: Unit, value: object) -> None:
    with pytest.raises(ValueError, match="such as") as refused:
        unit.parse(value)
    assert str(refused.value) == unit.form


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="such as"):
        parse_rate("0/s")


def test_more_than_everything_is_no_share() -> None:
    with pytest.raises(ValueError, match="0% to 100%"):
        parse_share("100.1%")


@pytest.mark.parametrize("unit", [RATE_LIMIT, BANDWIDTH_LIMIT])
def test_a_limit_may_be_unlimited(unit: Unit) -> None:
    assert unit.parse("unlimited") is None
    assert unit.write(None) == "unlimited"
    with pytest.raises(ValueError, match='or "unlimited"'):
        unit.parse("none")


def test_numbers_and_flags_of_the_environment_are_text() -> None:
    assert parse_count("12") == parse_count(12) == 12
    assert parse_flag("False") is parse_flag(False) is False


@pytest.mark.parametrize("value", [True, 12.0, "12.0", "1_000", "0x10", "", None])
def test_what_is_no_whole_number_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="a whole number"):
        parse_count(value)


@pytest.mark.parametrize("value", [1, 0, "yes", "1", ""])
def test_a_flag_is_true_or_false_and_nothing_near_it(value: object) -> None:
    with pytest.raises(ValueError, match="true or false"):
        parse_flag(value)


@given(st.integers(0, 10**10))
def test_a_duration_is_written_as_it_can_be_read(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    assert parse_duration(write_duration(seconds)) == seconds


@given(st.integers(0, 10**14))
def test_a_size_is_written_as_it_can_be_read(size_bytes: int) -> None:
    assert parse_size(write_size(size_bytes)) == size_bytes


@given(st.integers(0, 100_000))
def test_a_share_is_written_as_it_can_be_read(thousandths_of_a_percent: int) -> None:
    share = parse_share(f"{thousandths_of_a_percent / 1000:.3f}%")
    assert parse_share(write_share(share)) == share


@given(st.integers(1, 10**9), st.sampled_from([1.0, 60.0, 3600.0, 86_400.0]))
def test_a_rate_is_written_as_it_can_be_read(amount: int, per_s: float) -> None:
    assert parse_rate(str(Rate(amount, per_s))) == Rate(amount, per_s)
