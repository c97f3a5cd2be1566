"""What each tenant uses of this worker, and whether it may have more. Pure.

Without tenants there is one, of the name "", which has no limits. Each has agents of its own: two of the same name in two tenants
have nothing to do with each other, and how much of its tenant's time an agent takes is the tenant's affair.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import TYPE_CHECKING, Literal

from streams.flow.admission import TokenBucket
from streams.flow.agents import Agents
from streams.flow.held_up import Standstill
from streams.tenants import TenantRules

if TYPE_CHECKING:
    from streams.flow.lanes import TenantTurns

TenantLack = Literal["tenant_calls", "tenant_rate"]


class Tenant:
    """One tenant. `requests` and `bytes` are of those that wait or are under way, `calls` of those that are under way."""

    __slots__ = ("_bucket", "agents", "bytes", "calls", "has_limits", "held", "held_up", "requests", "rules")

    def __init__(self, rules: TenantRules, agents: Agents) -> None:
        self.rules = rules
        self.agents = agents
        self.requests = 0
        self.bytes = 0
        self.calls = 0
        self.held: list[TenantTurns] = []
        """Its turns that are not looked at before it may have another call."""
        self.held_up = Standstill()
        """How long it could have no further call, by reason."""
        self._bucket = None if rules.rate_per_s is None else TokenBucket(rules.rate_per_s, rules.burst)
        self.has_limits = self._bucket is not None or rules.most_calls is not None

    def lack(self, now: float) -> TenantLack | None:
        """What it has not enough of for another call, or None. `now` by a monotonic clock."""
        most = self.rules.most_calls
        if most is not None and self.calls >= most:
            return "tenant_calls"
        return "tenant_rate" if self._bucket is not None and not self._bucket.available(now) else None

    def stands_still(self, now: float) -> None:
        """It was looked at and may have no call, until it is said that it may."""
        lacks = self.lack(now)
        self.held_up.set(None if lacks is None else (lacks, ""), now)

    def room(self, now: float) -> float:
        """How many calls it may begin now; infinite without limits."""
        most = inf if self.rules.most_calls is None else self.rules.most_calls - self.calls
        return most if self._bucket is None else min(most, self._bucket.available(now))

    def next_in_s(self, now: float) -> float | None:
        """Seconds until its rate lets another one pass; None where that is not what it lacks."""
        if self._bucket is None or self._bucket.available(now):
            return None
        return self._bucket.next_in_s(now)

    def begin(self, now: float, *, fresh: bool) -> None:
        """One of its requests is called. `fresh`: for the first time, so that it takes one of its rate."""
        self.calls += 1
        if fresh and self._bucket is not None:
            self._bucket.take(now)

    def is_full(self, size: int) -> bool:
        """Whether another request of this size is more than it may have here."""
        rules = self.rules
        return (rules.most_requests is not None and self.requests >= rules.most_requests) or (
            rules.most_bytes is not None and self.bytes + size > rules.most_bytes
        )


def tenants_of(rules: Mapping[str, TenantRules], common: Agents) -> dict[str, Tenant]:
    """Every tenant, and "" for requests of none, whose agents are `common`."""
    made = {"": Tenant(TenantRules(""), common)}
    made |= {name: Tenant(each, common.anew()) for name, each in rules.items()}
    return made
