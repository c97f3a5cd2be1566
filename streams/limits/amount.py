"""Requests and tokens, which are always taken together."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Final

from schemas.lease import Grant


@dataclass(frozen=True, slots=True)
class Amount:
    """So many requests and so many tokens. A limit that is not there is `inf`.

    >>> Amount(1, 500) + Amount(2, 250)
    Amount(requests=3, tokens=750)
    >>> Amount(1, 500).fits(Amount(1, 400))
    False
    """

    requests: float
    tokens: float

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.requests + other.requests, self.tokens + other.tokens)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.requests - other.requests, self.tokens - other.tokens)

    def __mul__(self, factor: float) -> Amount:
        return Amount(self.requests * factor, self.tokens * factor)

    def fits(self, room: Amount) -> bool:
        """Whether there is room for all of it; what is not asked for fits into any room, also into a debt."""
        return (not self.requests or self.requests <= room.requests) and (not self.tokens or self.tokens <= room.tokens)

    def least(self, other: Amount) -> Amount:
        return Amount(min(self.requests, other.requests), min(self.tokens, other.tokens))

    def most(self, other: Amount) -> Amount:
        return Amount(max(self.requests, other.requests), max(self.tokens, other.tokens))

    def wire(self) -> Grant:
        """Whole numbers, rounded down."""
        return Grant(max(0, int(self.requests)), max(0, int(self.tokens)))


NONE: Final = Amount(0, 0)
BOUNDLESS: Final = Amount(inf, inf)


def amount(grant: Grant) -> Amount:
    """What a message says."""
    return Amount(grant.requests, grant.tokens)
