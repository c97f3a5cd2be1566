"""Values with units: how a setting is written, what it becomes, and how it is written again.

Inside, every duration is a float of seconds, every size an int of bytes, every share a float of 0 to 1, and every rate
a `Rate`. A number without its unit is refused, because "30" meant as milliseconds is the oldest configuration fault.

Sizes are decimal (1MB = 1,000,000 bytes); the binary ones are spelt KiB, MiB, GiB. Decimal is the careful reading where
a size must stay below a limit of Kafka's.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Final, TypeVar

from pydantic import BeforeValidator, PlainSerializer, PlainValidator

T = TypeVar("T")

UNLIMITED: Final = "unlimited"
AUTO: Final = "auto"

_NUMBER: Final = r"([0-9]{1,15}(?:\.[0-9]{1,9})?)"
_DURATIONS: Final = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86_400),
}
_SIZES: Final = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_PERIODS: Final = {
    "s": 1,
    "second": 1,
    "m": 60,
    "min": 60,
    "minute": 60,
    "h": 3600,
    "hour": 3600,
    "d": 86_400,
    "day": 86_400,
}
_PERIOD_NAMES: Final = {1.0: "s", 60.0: "minute", 3600.0: "hour", 86_400.0: "day"}

_DURATION = re.compile(_NUMBER + r" ?(" + "|".join(_DURATIONS) + ")")
_SIZE = re.compile(_NUMBER + r" ?(" + "|".join(_SIZES) + ")")
_RATE = re.compile(_NUMBER + r" ?/ ?(" + "|".join(_PERIODS) + ")")
_BANDWIDTH = re.compile(_NUMBER + r" ?(" + "|".join(_SIZES) + r") ?/ ?s")
_SHARE = re.compile(_NUMBER + r" ?%")


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in so many seconds: `Rate(3500.0, 60.0)` is "3500/minute"."""

    amount: float
    per_s: float

    @property
    def per_second(self) -> float:
        """The same rate, a second."""
        return self.amount / self.per_s

    def __str__(self) -> str:
        return f"{_plain(self.amount)}/{_PERIOD_NAMES[self.per_s]}"


@dataclass(frozen=True, slots=True)
class Unit:
    """A kind of value: its name in the reference, the form that a message asks for, and the conversion both ways."""

    name: str
    form: str
    parse: Callable[[Any], Any]
    write: Callable[[Any], Any]


def parse_duration(value: object) -> float:
    """Seconds of "500ms", "30s", "5m", "24h" or "14d". ValueError for anything else, bare numbers included."""
    number, unit = _match(_DURATION, value, DURATION)
    return float(number * _DURATIONS[unit])


def write_duration(seconds: float) -> str:
    """The shortest exact spelling: 300.0 is "5m", 0.1 is "100ms"."""
    for unit in ("h", "m", "s"):
        count = Decimal(repr(seconds)) / _DURATIONS[unit]
        if count >= 1 and count == count.to_integral_value():
            return f"{int(count)}{unit}"
    return f"{_plain(seconds)}s" if seconds >= 1 or seconds == 0 else f"{_plain(seconds * 1000)}ms"


def parse_size(value: object) -> int:
    """Bytes of "1KB", "50MB" or "16MiB". ValueError for anything else, bare numbers included."""
    number, unit = _match(_SIZE, value, SIZE)
    return int(number * _SIZES[unit])


def write_size(size_bytes: int) -> str:
    """The largest unit that divides the size: 50_000_000 is "50MB"."""
    for unit, factor in sorted(_SIZES.items(), key=lambda item: -item[1]):
        if size_bytes >= factor and size_bytes % factor == 0:
            return f"{size_bytes // factor}{unit}"
    return f"{size_bytes}B"


def parse_rate(value: object) -> Rate:
    """The rate of "1000/s", "3500/minute", "10/hour"."""
    number, period = _match(_RATE, value, RATE)
    if number == 0:
        raise ValueError(RATE.form)
    return Rate(float(number), float(_PERIODS[period]))


def parse_bandwidth(value: object) -> int:
    """Bytes a second of "10MB/s"."""
    number, unit = _match(_BANDWIDTH, value, BANDWIDTH)
    if number == 0:
        raise ValueError(BANDWIDTH.form)
    return int(number * _SIZES[unit])


def parse_share(value: object) -> float:
    """0 to 1 of "75%"."""
    (number,) = _match(_SHARE, value, SHARE)
    if number > 100:
        raise ValueError(SHARE.form)
    return float(number / 100)


def write_share(share: float) -> str:
    """0.999 is "99.9%"."""
    return f"{share * 100:.10g}%"


def parse_count(value: object) -> int:
    """A whole number; the environment writes it as text. `true` is no number here."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,15}", value):
        return int(value)
    raise ValueError(COUNT.form)


def parse_number(value: object) -> float:
    """A number without a unit, such as a temperature; the environment writes it as text."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,9})?", value):
        return float(value)
    raise ValueError(NUMBER.form)


def parse_flag(value: object) -> bool:
    """true or false; the environment writes it as text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise ValueError(FLAG.form)


def _match(pattern: re.Pattern[str], value: object, unit: Unit) -> tuple[Any, ...]:
    found = pattern.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(unit.form)
    number, *rest = found.groups()
    return (Decimal(number), *rest)


def _plain(number: float) -> str:
    return f"{number:.15g}"


def _or_word(unit: Unit, word: str) -> Unit:
    """The unit, or a word, which becomes None."""
    form = f'{unit.form}, or "{word}"'

    def parse(value: object) -> Any:
        try:
            return None if value == word else unit.parse(value)
        except ValueError:
            raise ValueError(form) from None

    return Unit(unit.name, form, parse, write=lambda value: word if value is None else unit.write(value))


DURATION: Final = Unit("duration", 'a duration such as "500ms", "30s", "5m" or "24h"', parse_duration, write_duration)
SIZE: Final = Unit("size", 'a size such as "1KB", "50MB" or "1GB"', parse_size, write_size)
RATE: Final = Unit("rate", 'a rate such as "1000/s", "3500/minute" or "10/hour"', parse_rate, str)
BANDWIDTH: Final = Unit(
    "bandwidth", 'a bandwidth such as "10MB/s"', parse_bandwidth, lambda value: f"{write_size(value)}/s"
)
SHARE: Final = Unit("share", 'a share such as "75%", 0% to 100%', parse_share, write_share)
COUNT: Final = Unit("number", "a whole number", parse_count, int)
NUMBER: Final = Unit("decimal", "a number such as 0.7", parse_number, float)
FLAG: Final = Unit("yes or no", "true or false", parse_flag, bool)
RATE_LIMIT: Final = _or_word(RATE, UNLIMITED)
BANDWIDTH_LIMIT: Final = _or_word(BANDWIDTH, UNLIMITED)
SIZE_OR_AUTO: Final = _or_word(SIZE, AUTO)

# The types that sections are written in. The unit stands in the metadata, where messages and the reference find it.
Seconds = Annotated[float, BeforeValidator(parse_duration), PlainSerializer(write_duration, when_used="json"), DURATION]
Bytes = Annotated[int, BeforeValidator(parse_size), PlainSerializer(write_size, when_used="json"), SIZE]
Share = Annotated[float, BeforeValidator(parse_share), PlainSerializer(write_share, when_used="json"), SHARE]
Count = Annotated[int, BeforeValidator(parse_count), COUNT]
Number = Annotated[float, BeforeValidator(parse_number), NUMBER]
Flag = Annotated[bool, BeforeValidator(parse_flag), FLAG]
PerSecond = Annotated[Rate, PlainValidator(parse_rate), PlainSerializer(str, when_used="json"), RATE]
RateLimit = Annotated[
    Rate | None, PlainValidator(RATE_LIMIT.parse), PlainSerializer(RATE_LIMIT.write, when_used="json"), RATE_LIMIT
]
BandwidthLimit = Annotated[
    int | None,
    PlainValidator(BANDWIDTH_LIMIT.parse),
    PlainSerializer(BANDWIDTH_LIMIT.write, when_used="json"),
    BANDWIDTH_LIMIT,
]
BytesOrAuto = Annotated[
    int | None,
    PlainValidator(SIZE_OR_AUTO.parse),
    PlainSerializer(SIZE_OR_AUTO.write, when_used="json"),
    SIZE_OR_AUTO,
]
