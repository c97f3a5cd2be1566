"""What a question to the index may cost. Where it is spent a page says where it stopped, and the next one goes on there."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

MOST_LOOKS: Final = 2_000
"""Rows: 15 to 60 ms of a quiet core (`headrace bench index`, "finds nothing")."""
MOST_S: Final = 0.06
"""A page asks two questions, and has 200 ms."""


@dataclass(slots=True)
class Budget:
    """Begins when it is made. `seconds` by the clock: a busy machine or a cold disk makes pages shorter, not slower."""

    looks: int = MOST_LOOKS
    seconds: float = MOST_S
    clock: Callable[[], float] = time.monotonic
    _end: float = field(init=False)

    def __post_init__(self) -> None:
        self._end = self.clock() + self.seconds

    def is_spent(self) -> bool:
        return self.clock() >= self._end
