"""What a tenant may ask for, and how much of a worker it may use. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from schemas.errors import clip
from streams.patterns import matches
from streams.settings import Settings


@dataclass(frozen=True, slots=True)
class TenantRules:
    """One tenant's. Where a limit is None there is none of its own."""

    name: str
    weight: int = 1
    rate_per_s: float | None = None
    """Requests dispatched a second, after a burst of `burst`."""
    burst: int = 100
    most_calls: int | None = None
    """Calls under way."""
    most_requests: int | None = None
    """Requests that wait or are under way."""
    most_bytes: int | None = None
    """Of these requests."""
    models: tuple[str, ...] = ("*",)
    agents: str = "*"
    shares_cache: bool = False

    @property
    def restricts(self) -> bool:
        """Whether there is anything that `refusal` could refuse."""
        return self.agents != "*" or "*" not in self.models

    def refusal(self, agent_id: str, model: str) -> str | None:
        """Why the tenant may not ask this, or None."""
        if not matches(self.agents, agent_id):
            return clip(f"the tenant {self.name} may not name the agent {agent_id!r} (tenants.{self.name}.agents)")
        if not any(matches(pattern, model) for pattern in self.models):
            return clip(f"the tenant {self.name} may not ask for the model {model!r} (tenants.{self.name}.models)")
        return None


NO_TENANTS: Final[Mapping[str, TenantRules]] = MappingProxyType({})


def tenant_rules(settings: Settings) -> Mapping[str, TenantRules]:
    """The rules of every tenant by its name; empty without tenants."""
    return {
        name: TenantRules(
            name=name,
            weight=given.weight,
            rate_per_s=None if given.rate is None else given.rate.per_second,
            burst=given.burst,
            most_calls=given.concurrency,
            most_requests=given.requests,
            most_bytes=given.bytes,
            models=tuple(given.models),
            agents=given.agents,
            shares_cache=given.cache.shared,
        )
        for name, given in settings.tenants.items()
    }
