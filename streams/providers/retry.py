"""The retry policy of provider calls: exponential back-off with full jitter, and at least what the provider asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from streams.backoff import exponential_s, full_jitter_s


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`max_attempts` counts the first one."""

    max_attempts: int
    base_delay_s: float
    max_delay_s: float
    dead_letter: bool = False
    """Whether a request whose retries are used up becomes a dead letter besides."""

    def backoff_s(
        self, attempts: int, retry_after_s: float | None, left_s: float, random: Callable[[], float]
    ) -> float | None:
        """Seconds to wait after `attempts` failed attempts, or None if there is to be no other: attempts or time are used up.

        `left_s` is the time left to the request; `random` gives numbers in [0, 1).
        """
        if attempts >= self.max_attempts:
            return None
        bound_s = exponential_s(attempts, self.base_delay_s, self.max_delay_s)
        wait_s = max(full_jitter_s(bound_s, random), retry_after_s or 0.0)
        return wait_s if wait_s < left_s else None
