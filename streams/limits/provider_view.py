"""What providers say of their limits, and what we believe of it: only what is less than we thought, and not for long.

Headers: https://platform.openai.com/docs/guides/rate-limits (x-ratelimit-*, durations such as "6m0s" or "20ms"),
https://docs.claude.com/en/api/rate-limits (anthropic-ratelimit-*, moments in RFC 3339).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from math import inf
from typing import Final

from schemas.lease import ProviderView
from streams.limits.amount import NONE, UNLIMITED, Amount, limit_of
from streams.limits.retry_after import said_at

MOST_S: Final = 60.0
"""No header is believed for longer."""
_LEAST_SHARE: Final = 0.1  # of the limit that is set: whatever a header says, so much is tried
_NOISE_SHARE: Final = 0.05  # calls that are under way make both counts differ by so much

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_RESOURCES: Final = {"requests": "requests", "tokens": "tokens", "input": "input-tokens", "output": "output-tokens"}
"""As we name them, and as headers do."""


def read_headers(headers: Mapping[str, str], now: float) -> ProviderView | None:
    """What an answer's headers (names in lower case) say; None if nothing. `now` is Unix time, for headers with dates."""
    now = said_at(headers, now)
    found: dict[str, float] = {}
    for resource, name in _RESOURCES.items():
        for what in ("limit", "remaining"):
            value = _first(headers, f"x-ratelimit-{what}-{name}", f"anthropic-ratelimit-{name}-{what}")
            if value is not None and value.isascii() and value.isdigit() and len(value) <= 12:
                found[f"{what}_{resource}"] = int(value)
    if not found:
        return None
    resets = [
        _reset_s(_first(headers, f"x-ratelimit-reset-{name}", f"anthropic-ratelimit-{name}-reset"), now)
        for name in _RESOURCES.values()
    ]
    known = [seconds for seconds in resets if seconds is not None]
    return ProviderView.model_validate({**found, "reset_s": min(MOST_S, max(known, default=MOST_S))}, strict=False)


class CorrectedLimit:
    """The limit that is set, corrected downward by what the provider said last."""

    def __init__(self, limit: Amount) -> None:
        self.set = limit
        self._said = limit
        self._said_until = -inf
        self._foreign = NONE
        self._foreign_until = -inf
        self._paused_until = -inf

    def at(self, now: float) -> Amount:
        """The limit that holds now."""
        return self._said.least(self.set) if now < self._said_until else self.set

    def foreign(self, now: float) -> Amount:
        """What the provider counts beside our own use: others with the same key, or another way to count."""
        return self._foreign if now < self._foreign_until else NONE

    def paused(self, now: float) -> bool:
        return now < self._paused_until

    def correct(self, now: float, view: ProviderView, ours: Amount) -> None:
        """Take in what the provider said; `ours` is what it should have counted by now."""
        if view.pause_s:
            self._paused_until = max(self._paused_until, now + min(view.pause_s, MOST_S))
        least = self.set.limited_by(self.set) * _LEAST_SHARE
        limit = limit_of(
            _or_inf(view.limit_requests),
            _or_inf(view.limit_tokens),
            _or_inf(view.limit_input),
            _or_inf(view.limit_output),
        )
        if limit != UNLIMITED:
            self._said, self._said_until = limit.most(least), now + MOST_S
        remaining = limit_of(
            _or_inf(view.remaining_requests),
            _or_inf(view.remaining_tokens),
            _or_inf(view.remaining_input),
            _or_inf(view.remaining_output),
        )
        if remaining == UNLIMITED:
            return
        allowed = limit.least(self.set)
        self._foreign = Amount(
            _beyond(allowed.requests, remaining.requests, ours.requests, least.requests),
            _beyond(allowed.tokens, remaining.tokens, ours.tokens, least.tokens),
            _beyond(allowed.input, remaining.input, ours.input, least.input),
            _beyond(allowed.output, remaining.output, ours.output, least.output),
        )
        self._foreign_until = now + min(view.reset_s, MOST_S)


def _beyond(allowed: float, remaining: float, ours: float, least: float) -> float:
    """How much more than ours the provider has counted, at most so much that `least` is left."""
    if inf in (allowed, remaining):
        return 0.0
    more = allowed - remaining - ours - allowed * _NOISE_SHARE
    return max(0.0, min(more, allowed - least))


def _or_inf(value: int | None) -> float:
    return inf if value is None else value


def _first(headers: Mapping[str, str], *names: str) -> str | None:
    return next((headers[name].strip() for name in names if name in headers), None)


def _reset_s(value: str | None, now: float) -> float | None:
    """Seconds of "1s", "6m0s", "20ms", "12.5" or a moment."""
    if not value:
        return None
    if re.fullmatch(r"\d{1,9}(\.\d+)?", value):
        return float(value)
    found = _DURATION.fullmatch(value)
    if found is not None:
        hours, minutes, seconds, millis = (float(part or 0) for part in found.groups())
        return hours * 3600 + minutes * 60 + seconds + millis / 1000
    try:
        return max(0.0, datetime.fromisoformat(value).timestamp() - now)
    except ValueError:
        return None
