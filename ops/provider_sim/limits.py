"""A provider's limits: requests and tokens a window, for each model. Pure: time comes as an argument.

Both kinds are in use: OpenAI and Anthropic describe theirs as token buckets, Azure counts in windows. A call that does not
fit is refused and charged nothing; a refused one tells when it would fit.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from ops.provider_sim.settings import SimSettings


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a call fits, and what is left after it. Seconds are from now."""

    admitted: bool
    requests_left: int
    tokens_left: int
    requests_reset_s: float
    """Until the requests are all there again, if no further call comes."""
    tokens_reset_s: float
    retry_after_s: float
    """Until a refused call would fit; infinite for one larger than the limit."""


class Meter(Protocol):
    """What one model has used of its limits."""

    def admit(self, tokens: int, now: float) -> Verdict: ...


@dataclass(slots=True)
class Bucket:
    """Two token buckets that fill in `window_s` seconds, full at the beginning."""

    requests: int
    tokens: int
    window_s: float
    _requests_left: float = field(init=False)
    _tokens_left: float = field(init=False)
    _at: float = -math.inf

    def __post_init__(self) -> None:
        self._requests_left, self._tokens_left = self.requests, self.tokens

    def admit(self, tokens: int, now: float) -> Verdict:
        passed = min(1.0, max(0.0, now - self._at) / self.window_s)
        self._at = max(self._at, now)
        self._requests_left = min(self.requests, self._requests_left + passed * self.requests)
        self._tokens_left = min(self.tokens, self._tokens_left + passed * self.tokens)
        missing = max((1 - self._requests_left) / self.requests, (tokens - self._tokens_left) / self.tokens)
        admitted = missing <= 1e-9  # a sum of refills is not exact
        if admitted:
            self._requests_left -= 1
            self._tokens_left -= tokens
        return Verdict(
            admitted,
            max(0, int(self._requests_left)),
            max(0, int(self._tokens_left)),
            (1 - self._requests_left / self.requests) * self.window_s,
            (1 - self._tokens_left / self.tokens) * self.window_s,
            0.0 if admitted else missing * self.window_s if tokens <= self.tokens else math.inf,
        )


@dataclass(slots=True)
class Window:
    """What was admitted in the last `window_s` seconds may not exceed the limits."""

    requests: int
    tokens: int
    window_s: float
    _admitted: deque[tuple[float, int]] = field(default_factory=deque)
    _tokens_in: int = 0

    def admit(self, tokens: int, now: float) -> Verdict:
        while self._admitted and self._admitted[0][0] <= now - self.window_s:
            self._tokens_in -= self._admitted.popleft()[1]
        fits = len(self._admitted) < self.requests and self._tokens_in + tokens <= self.tokens
        retry_after_s = 0.0 if fits else self._wait_s(tokens, now)
        if fits:
            self._admitted.append((now, tokens))
            self._tokens_in += tokens
        empty_s = self._admitted[-1][0] + self.window_s - now if self._admitted else 0.0
        left = max(0, self.requests - len(self._admitted)), max(0, self.tokens - self._tokens_in)
        return Verdict(fits, *left, empty_s, empty_s, retry_after_s)

    def _wait_s(self, tokens: int, now: float) -> float:
        """Until enough of the oldest have left the window."""
        count, used = len(self._admitted), self._tokens_in
        for at, charged in self._admitted:
            count, used = count - 1, used - charged
            if count < self.requests and used + tokens <= self.tokens:
                return at + self.window_s - now
        return math.inf


@dataclass(slots=True)
class Used:
    """What one model was given and refused since the start or the last reset."""

    requests: int = 0
    tokens: int = 0
    refused: int = 0


class Limits:
    """The limits of all models, as the settings give them."""

    def __init__(self, settings: SimSettings) -> None:
        self._settings = settings
        self._meters: dict[str, Meter] = {}
        self.used: dict[str, Used] = {}

    def admit(self, model: str, tokens: int, now: float) -> Verdict | None:
        """Charge a call; None where there are no limits."""
        used = self.used.setdefault(model, Used())
        verdict = self._meter(model).admit(tokens, now) if self._settings.limit != "none" else None
        if verdict is None or verdict.admitted:
            used.requests += 1
            used.tokens += tokens
        else:
            used.refused += 1
        return verdict

    def _meter(self, model: str) -> Meter:
        meter = self._meters.get(model)
        if meter is None:
            kind = Bucket if self._settings.limit == "token_bucket" else Window
            given = self._settings
            meter = self._meters[model] = kind(given.limit_requests, given.limit_tokens, given.limit_window_s)
        return meter


def openai_headers(settings: SimSettings, verdict: Verdict) -> dict[str, str]:
    """https://platform.openai.com/docs/guides/rate-limits, "Rate limits in headers"."""
    headers = {
        "x-ratelimit-limit-requests": str(settings.limit_requests),
        "x-ratelimit-limit-tokens": str(settings.limit_tokens),
        "x-ratelimit-remaining-requests": str(verdict.requests_left),
        "x-ratelimit-remaining-tokens": str(verdict.tokens_left),
        "x-ratelimit-reset-requests": f"{verdict.requests_reset_s:.3f}s",
        "x-ratelimit-reset-tokens": f"{verdict.tokens_reset_s:.3f}s",
    }
    return headers | retry_after(verdict)


def retry_after(verdict: Verdict) -> dict[str, str]:
    """Seconds are whole in HTTP (RFC 9110, 10.2.3); OpenAI sends milliseconds beside them."""
    if verdict.admitted or math.isinf(verdict.retry_after_s):
        return {}
    wait_s = verdict.retry_after_s
    return {"retry-after": str(math.ceil(wait_s)), "retry-after-ms": str(math.ceil(wait_s * 1000))}
