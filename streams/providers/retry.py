"""How long to wait before the next attempt: exponential, with full jitter, and what the provider asked for at the least.

Full jitter: uniform between nothing and the exponential bound, so that failed calls do not come back together (M. Brooker,
"Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`max_attempts` counts the first one."""

    max_attempts: int
    base_delay_s: float
    max_delay_s: float
    dead_letter: bool = False
    """Whether a request whose retries are used up becomes a dead letter besides."""

    def pause_s(
        self, attempts: int, retry_after_s: float | None, left_s: float, random: Callable[[], float]
    ) -> float | None:
        """Seconds to wait after `attempts` failed attempts, or None if there is to be no other: attempts or time are used up.

        `left_s` is the time left to the request; `random` gives numbers in [0, 1).
        """
        if attempts >= self.max_attempts:
            return None
        bound_s = min(self.max_delay_s, self.base_delay_s * 2.0 ** (attempts - 1))
        pause_s = max(random() * bound_s, retry_after_s or 0.0)
        return pause_s if pause_s < left_s else None
