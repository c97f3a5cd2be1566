"""How long a provider asks to wait. The one parser of it: limits pause by it, and retries wait by it. Pure.

`Retry-After` is seconds or an HTTP date (RFC 9110, 10.2.3). `retry-after-ms` is OpenAI's, `x-ms-retry-after-ms` Azure's, and the
LiteLLM proxy hands on its upstream's headers with the prefix `llm_provider-`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

_HEADERS: Final[tuple[tuple[str, float], ...]] = (
    ("retry-after-ms", 0.001),
    ("x-ms-retry-after-ms", 0.001),
    ("retry-after", 1.0),
    ("llm_provider-retry-after-ms", 0.001),
    ("llm_provider-retry-after", 1.0),
)
"""By precedence: the finest first, and what the endpoint says itself before what it hands on."""

_NUMBER: Final = re.compile(r"\d{1,9}(\.\d{1,9})?")


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait, not below 0; None where the headers (names in lower case) do not say. `now` is Unix time, for dates of
    answers that do not bear their own (`said_at`).

    >>> retry_after_s({"retry-after": "2.5"}, now=0.0)
    2.5
    >>> retry_after_s({"retry-after": "Thu, 01 Jan 1970 00:01:00 GMT"}, now=20.0)
    40.0
    """
    for name, factor in _HEADERS:
        value = (headers.get(name) or "").strip()
        if _NUMBER.fullmatch(value):
            return float(value) * factor
        if value and factor == 1.0 and (at := _date(value)) is not None:
            return max(0.0, at - said_at(headers, now))
    return None


def said_at(headers: Mapping[str, str], now: float) -> float:
    """When an answer was made, by the clock of whoever made it, which is the one that its other dates are of (RFC 9110, 6.6.1):
    its `Date`; `now` where it has none, or comes out of a cache (`Age`).

    >>> said_at({"date": "Thu, 01 Jan 1970 00:01:00 GMT"}, now=3_700.0)
    60.0
    """
    at = None if "age" in headers else _date(headers.get("date", ""))
    return now if at is None else at


def _date(value: str) -> float | None:
    try:
        at = parsedate_to_datetime(value)
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
