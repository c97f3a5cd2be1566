"""Which of the endpoints that could take a call gets it. Pure.

A policy is asked with those endpoints that are healthy and have a slot, always in the settings' order, and picks one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, TypeVar

from xxhash import xxh64_intdigest

Algorithm = Literal["round_robin", "least_connections", "weighted", "affinity"]


class Candidate(Protocol):
    """An endpoint, as a policy sees it."""

    @property
    def place(self) -> int:
        """Its place among the provider's endpoints."""

    @property
    def weight(self) -> int: ...

    @property
    def in_flight(self) -> int:
        """Calls under way."""

    @property
    def hash_seed(self) -> int:
        """A number of its own that stays the same for its address."""


C = TypeVar("C", bound=Candidate)


class Policy(Protocol):
    """Picks one of at least one candidate. `key` is the conversation, else the agent."""

    def pick(self, candidates: Sequence[C], key: str) -> C: ...


@dataclass(slots=True)
class RoundRobin:
    """Each in turn. One that is left out for a while does not get its turns later."""

    _last: int = -1

    def pick(self, candidates: Sequence[C], key: str) -> C:
        picked = next((each for each in candidates if each.place > self._last), candidates[0])
        self._last = picked.place
        return picked


@dataclass(slots=True)
class LeastConnections:
    """The one with the fewest calls under way; in turn where several have as few."""

    _turns: RoundRobin = field(default_factory=RoundRobin)

    def pick(self, candidates: Sequence[C], key: str) -> C:
        least = min(each.in_flight for each in candidates)
        return self._turns.pick([each for each in candidates if each.in_flight == least], key)


@dataclass(slots=True)
class Weighted:
    """In proportion to the weights, evenly mixed: nginx's smooth weighted round robin (nginx, commit 52327e0627f4, 2012).

    At each pick every candidate gains its weight; the one that has most is picked and pays the sum of the weights. After as
    many picks as the sum of the weights each had exactly its weight, and no run of one is longer than it must be.
    """

    _credit: dict[int, int] = field(default_factory=dict)

    def pick(self, candidates: Sequence[C], key: str) -> C:
        credit = self._credit
        best, most = candidates[0], -math.inf
        total = sum(each.weight for each in candidates)
        for each in candidates:
            saved = min(
                max(credit.get(each.place, 0), -total), total
            )  # more is of other weights, or of another endpoint
            gained = credit[each.place] = saved + each.weight
            if gained > most:
                best, most = each, gained
        credit[best.place] -= total
        return best


MOST_LOAD: Final = 1.25
"""Times the mean load that an endpoint may carry before a conversation goes to its next one."""


@dataclass(slots=True)
class Affinity:
    """Consistent hashing with bounded loads: the calls of one conversation meet the endpoint whose prompt cache knows it.

    Each key has an order of the endpoints of its own, by the hash of both (rendezvous hashing, Thaler and Ravishankar 1998),
    and takes the first that carries no more than `most_load` times the mean, weights counted (Mirrokni, Thorup and
    Zadimoghaddam, "Consistent Hashing with Bounded Loads", 2016). When an endpoint leaves, only its own keys move.
    """

    most_load: float = MOST_LOAD

    def pick(self, candidates: Sequence[C], key: str) -> C:
        weights = sum(each.weight for each in candidates)
        load = 1 + sum(each.in_flight for each in candidates)
        name = key.encode()
        for each in sorted(candidates, key=lambda each: _score(each, name), reverse=True):
            if each.in_flight < math.ceil(self.most_load * load * each.weight / weights):
                return each
        raise AssertionError("the loads cannot all be above their mean")


def _score(each: Candidate, name: bytes) -> float:
    """Highest random weight with weights: -w / ln(u) for u uniform in (0, 1) (Resch, "New Hashing Algorithms", SDC 2015)."""
    uniform = (xxh64_intdigest(name, each.hash_seed) + 1) / (2**64 + 2)
    return -each.weight / math.log(uniform)


POLICIES: Final[dict[Algorithm, type[RoundRobin | LeastConnections | Weighted | Affinity]]] = {
    "round_robin": RoundRobin,
    "least_connections": LeastConnections,
    "weighted": Weighted,
    "affinity": Affinity,
}
