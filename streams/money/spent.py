"""What a request has cost so far, over its attempts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from schemas.cost import NO_COST, Cost, amount_text


@dataclass(frozen=True, slots=True)
class Spent:
    """Pico-units. `pico` None: something was called of which nobody knows the price."""

    pico: int | None = 0
    version: str | None = None
    estimated: bool = False

    def __add__(self, other: Spent) -> Spent:
        pico = None if self.pico is None or other.pico is None else self.pico + other.pico
        return Spent(pico, other.version or self.version, self.estimated or other.estimated)

    def shares(self, weights: Sequence[int]) -> list[Spent]:
        """Parts in proportion to the weights, which add up to the whole exactly (largest remainder)."""
        if self.pico is None:
            return [self] * len(weights)
        whole = sum(weights)
        exact = [divmod(self.pico * weight, whole) for weight in weights]
        parts = [part for part, _ in exact]
        for index in sorted(range(len(weights)), key=lambda index: -exact[index][1])[: self.pico - sum(parts)]:
            parts[index] += 1
        return [Spent(part, self.version, self.estimated) for part in parts]

    def cost(self) -> Cost | None:
        """As the wire has it; None where it is not known."""
        if self.pico is None:
            return None
        if not self.pico and self.version is None:
            return NO_COST
        return Cost(amount_text(self.pico), price_version=self.version, estimated=self.estimated)


NOTHING: Final = Spent()
