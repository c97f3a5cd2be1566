"""What a worker knows of its endpoints, for those who ask: `headrace providers`, over the worker's HTTP server."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from streams.providers.endpoint import Endpoint
from streams.providers.health import EndpointState
from streams.providers.providers import Providers


@dataclass(frozen=True, slots=True)
class EndpointStats:
    """One endpoint, now. `last_check`: what its last check found, in words; None: it was not checked yet."""

    provider: str
    url: str
    state: EndpointState
    weight: int
    in_flight: int
    free: int
    """Calls of the class high that it could take now."""
    last_check: str | None
    last_check_ms: float | None
    set_aside: list[str] = field(default_factory=list)
    """Why it gets no calls, or none for some of its models, in words."""
    name: str = ""
    """What it is called; empty as its URL says it all."""

    @property
    def label(self) -> str:
        return self.name or self.url


def endpoint_stats(providers: Providers) -> list[EndpointStats]:
    """All endpoints, in the settings' order; then those that are none of them any more, while they have calls."""
    stats = []
    for provider in providers.all:
        for endpoint in (*provider.endpoints, *(each for each in provider.leaving if each.in_flight)):
            check = endpoint.last_check
            said = None if check is None else check.error or f"status {check.status}"
            took_ms = None if check is None else round(check.took_s * 1000, 1)
            free = endpoint.free("high")
            stats.append(
                EndpointStats(
                    provider.name,
                    endpoint.url,
                    endpoint.health.state,
                    endpoint.weight,
                    endpoint.in_flight,
                    free,
                    said,
                    took_ms,
                    _set_aside(endpoint),
                    "" if endpoint.label == endpoint.url else endpoint.label,
                )
            )
    return stats


def _set_aside(endpoint: Endpoint) -> list[str]:
    now = time.monotonic()
    reasons = []
    if endpoint.health.draining:
        reasons.append("drained by its operator")
    elif endpoint.health.checks_say == "unhealthy":
        reasons.append("its checks fail")
    for model, breaker in endpoint.health.set_aside():
        what = "all models" if model is None else f"model {model}"
        since = (
            "one call tries it" if breaker.state == "half_open" else f"for {max(0.0, breaker.until - now):.0f} s more"
        )
        reasons.append(f"{what}, {since} ({breaker.fault}): {breaker.why}")
    return reasons


def drain_endpoint(providers: Providers, endpoint: str, draining: bool) -> list[EndpointStats]:
    """Give an endpoint no new calls, or give it calls again; `endpoint` is its name or its URL (then all of that URL), or
    PROVIDER/NAME, PROVIDER/URL where several providers have it. Calls under way go on. ValueError where there is none.
    """
    named = endpoints_named(providers, endpoint)
    for each in named:
        each.drain(draining)
    labels = {(each.provider, each.label) for each in named}
    return [each for each in endpoint_stats(providers) if (each.provider, each.label) in labels]


def endpoints_named(providers: Providers, endpoint: str) -> list[Endpoint]:
    """The endpoints of that name; ValueError where there is none."""
    named = [
        each
        for provider in providers.all
        for each in provider.endpoints
        if endpoint.rstrip("/")
        in (each.label, each.url, f"{provider.name}/{each.label}", f"{provider.name}/{each.url}")
    ]
    if not named:
        known = ", ".join(each.label for provider in providers.all for each in provider.endpoints)
        raise ValueError(f"there is no endpoint {endpoint}; there are {known}")
    return named
