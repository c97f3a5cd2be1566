"""Whether what waits can live with a provider's limit, in words with numbers. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from streams.limits.amount import Amount
from topics.names import PRIORITIES, Priority

_MINUTE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class TooSmall:
    """A limit of a provider under which requests of a class will expire. Rates are a minute; of this worker's queue alone."""

    provider: str
    resource: str
    """`requests` or `tokens`."""
    waiting: float
    allowed_per_min: float
    clears_in_s: float
    priority: Priority
    """The first class of which some will not be called in time; classes before it are served first."""
    waits_at_most_s: float

    def __str__(self) -> str:
        """
        >>> print(str(TooSmall("main", "tokens", 540_000, 90_000, 360.0, "low", 60.0)).split(":")[0])
        540,000 tokens wait for main, its rate_limit.tokens gives 90,000 a minute
        """
        key = f"rate_limit.{self.resource}"
        asked = f"{self.waiting:,.0f} {self.resource} wait for {self.provider}"
        given = f"its {key} gives {self.allowed_per_min:,.0f} a minute"
        patience = f"{self.priority} requests wait for {self.waits_at_most_s:,.0f} s at most"
        late = f"that takes {self.clears_in_s:,.0f} s, and {patience}"
        raise_it = f"Raise providers.{self.provider}.{key} if the provider allows it"
        wait = f"let {self.priority} wait longer (queueing.timeout.{self.priority})"
        return f"{asked}, {given}: {late}. {raise_it}, send less, or {wait}"


def too_small(
    provider: str,
    waiting: Mapping[Priority, tuple[int, int]],
    limit: Amount,
    window_s: float,
    patience_s: Mapping[Priority, float],
) -> TooSmall | None:
    """The limit that requests and tokens that wait, by class, cannot live with; None: all can be called in time.

    `limit` is what the provider allows in `window_s` seconds, to the whole fleet: with other workers it takes even longer.
    """
    found = list(_found(provider, waiting, limit, window_s, patience_s))
    first = [each for each in found if each.priority == found[0].priority]
    return max(first, key=lambda each: each.clears_in_s, default=None)


def _found(
    provider: str,
    waiting: Mapping[Priority, tuple[int, int]],
    limit: Amount,
    window_s: float,
    patience_s: Mapping[Priority, float],
) -> Iterator[TooSmall]:
    before = [0.0, 0.0]
    for priority in PRIORITIES:
        for index, (resource, allowed) in enumerate((("requests", limit.requests), ("tokens", limit.tokens))):
            here = waiting.get(priority, (0, 0))[index]
            before[index] += here
            clears_in_s = before[index] / allowed * window_s
            if here and clears_in_s > patience_s[priority]:
                per_min = allowed / window_s * _MINUTE_S
                yield TooSmall(provider, resource, before[index], per_min, clears_in_s, priority, patience_s[priority])
