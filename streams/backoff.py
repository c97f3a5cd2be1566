"""Back-off: how long to wait after failures in a row, and the jitter that keeps many from coming back together. Pure.

Full jitter spreads most and may wait for nothing; equal jitter keeps half of the wait (M. Brooker, "Exponential Backoff And
Jitter", https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

_MOST_DOUBLINGS: Final = 64
"""Beyond it no bound is reached that was not reached before, and a float still holds it."""


def exponential_s(failures: int, first_s: float, most_s: float) -> float:
    """`first_s` after the first failure, twice that after the second, and so on; at most `most_s`."""
    return min(most_s, first_s * 2.0 ** min(max(0, failures - 1), _MOST_DOUBLINGS))


def full_jitter_s(wait_s: float, draw: Callable[[], float] = random.random) -> float:
    """Between nothing and `wait_s`; `draw` gives 0 to 1."""
    return wait_s * draw()


def equal_jitter_s(wait_s: float, draw: Callable[[], float] = random.random) -> float:
    """Between half of `wait_s` and all of it; `draw` gives 0 to 1."""
    return wait_s * (0.5 + draw() / 2)
