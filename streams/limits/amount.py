"""What limits count: requests, tokens, and the input and output among them. All of it is taken together or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from typing import Final

from schemas.lease import Grant


@dataclass(frozen=True, slots=True)
class Amount:
    """So much of each resource. `tokens` is what a limit of all tokens counts, `input` and `output` what limits of one side do.

    >>> Amount(1, 500) + Amount(2, 250, 200, 50)
    Amount(requests=3, tokens=750, input=200, output=50)
    >>> Amount(1, 500).fits(Amount(1, 400))
    False
    """

    requests: float
    tokens: float
    input: float = 0
    output: float = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(
            self.requests + other.requests,
            self.tokens + other.tokens,
            self.input + other.input,
            self.output + other.output,
        )

    def __sub__(self, other: Amount) -> Amount:
        return Amount(
            self.requests - other.requests,
            self.tokens - other.tokens,
            self.input - other.input,
            self.output - other.output,
        )

    def __mul__(self, factor: float) -> Amount:
        return Amount(self.requests * factor, self.tokens * factor, self.input * factor, self.output * factor)

    def fits(self, room: Amount) -> bool:
        """Whether there is room for all of it; what is not asked for fits into any room, also into a debt."""
        return (
            (not self.requests or self.requests <= room.requests)
            and (not self.tokens or self.tokens <= room.tokens)
            and (not self.input or self.input <= room.input)
            and (not self.output or self.output <= room.output)
        )

    def least(self, other: Amount) -> Amount:
        return Amount(
            min(self.requests, other.requests),
            min(self.tokens, other.tokens),
            min(self.input, other.input),
            min(self.output, other.output),
        )

    def most(self, other: Amount) -> Amount:
        return Amount(
            max(self.requests, other.requests),
            max(self.tokens, other.tokens),
            max(self.input, other.input),
            max(self.output, other.output),
        )

    def limited_by(self, limit: Amount) -> Amount:
        """Only the resources that have a limit: of the others nothing needs to be granted."""
        return Amount(
            0 if limit.requests == inf else self.requests,
            0 if limit.tokens == inf else self.tokens,
            0 if limit.input == inf else self.input,
            0 if limit.output == inf else self.output,
        )

    def share_of(self, whole: Amount) -> float:
        """The largest share that it is of any resource of `whole`."""
        return max(
            self.requests / whole.requests,
            self.tokens / whole.tokens,
            self.input / whole.input,
            self.output / whole.output,
        )

    def whole(self) -> Amount:
        """Whole numbers, rounded down, none below 0."""
        return Amount(
            max(0, int(self.requests)), max(0, int(self.tokens)), max(0, int(self.input)), max(0, int(self.output))
        )

    def wire(self) -> Grant:
        """As messages have it."""
        whole = self.whole()
        return Grant(int(whole.requests), int(whole.tokens), int(whole.input), int(whole.output))


NONE: Final = Amount(0, 0)


def limit_of(
    requests: float = inf, tokens: float = inf, input_tokens: float = inf, output_tokens: float = inf
) -> Amount:
    """A limit; what is not named has none."""
    return Amount(requests, tokens, input_tokens, output_tokens)


UNLIMITED: Final = limit_of()


def total(amounts: Iterable[Amount]) -> Amount:
    """Their sum."""
    return sum(amounts, NONE)


def amount(grant: Grant) -> Amount:
    """What a message says."""
    return Amount(grant.requests, grant.tokens, grant.input, grant.output)
