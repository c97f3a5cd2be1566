"""What is cached, and for how long. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import inf

from streams.cache.key import Namespace


@dataclass(frozen=True, slots=True)
class CacheRules:
    """Times are seconds."""

    namespace: Namespace
    max_temperature: float
    memory_ttl_s: float
    ttl_s: float
    """How long an answer is good on disk and on the topic, where the request does not ask for less."""
    finished_window_s: float
    """How long a request that was answered `ok` is remembered."""
    shared_by: Collection[str] = frozenset()
    """Tenants that share answers, and calls under way, with each other and with requests of no tenant."""
    most_s: Mapping[str, float] = field(default_factory=dict)
    """By tenant, the longest that anything of its requests is kept."""

    def times_of(self, tenant: str, asked_s: float | None) -> tuple[float, float]:
        """How long an answer is good, and how long the request is remembered. `asked_s`: what the request allows."""
        most_s = self.most_s.get(tenant, inf)
        return min(self.ttl_s, asked_s or self.ttl_s, most_s), min(self.finished_window_s, most_s)
