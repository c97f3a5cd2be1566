"""What tenants use, by tenant: the first 50 by name, all further ones as `other`, so that the series are bounded."""

from __future__ import annotations

from typing import Final

from streams.metrics import definitions as metrics

MOST: Final = 50
"""Tenants with series of their own, in this process; the settings allow 200."""
OTHER: Final = "other"
_PICO: Final = 1e12


class TenantSeries:
    """Counts answers of tenants; requests of no tenant are not counted here."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._named: set[str] = set()

    def label(self, tenant: str) -> str:
        """The tenant, or `other` where there are too many; a tenant of that name is counted with those."""
        if tenant in self._named:
            return tenant
        if len(self._named) >= self._most or tenant == OTHER:
            return OTHER
        self._named.add(tenant)
        return tenant

    def count(self, tenant: str, status: str, tokens: tuple[int, int] = (0, 0), pico: int | None = 0) -> None:
        """An answer: how it ended, its input and output tokens, what its calls cost (None: nobody knows)."""
        label = self.label(tenant)
        metrics.TENANT_RESPONSES.labels(label, status).inc()
        if tokens[0] or tokens[1]:
            metrics.TENANT_TOKENS.labels(label, "input").inc(tokens[0])
            metrics.TENANT_TOKENS.labels(label, "output").inc(tokens[1])
        if pico:
            metrics.TENANT_COST.labels(label).inc(pico / _PICO)


tenant_series: Final = TenantSeries()
"""Of this process, as its metrics are."""
