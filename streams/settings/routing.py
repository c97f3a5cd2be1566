"""[routing]: how one of a provider's endpoints is chosen, and which of them are fit to be."""

from typing import Literal, Self

from pydantic import Field, model_validator

from streams.settings.base import Section, conflict, required, setting
from streams.settings.units import Count, Seconds, Share

Algorithm = Literal["round_robin", "least_connections", "weighted", "affinity"]


class HealthCheck(Section):
    """How endpoints are found to be ill, and well again."""

    interval: Seconds = setting("30s", "Time between two checks of an endpoint.", gt=0)
    timeout: Seconds = setting("5s", "A check without an answer for so long has failed.", gt=0)
    unhealthy_threshold: Count = setting(3, "Failed checks in a row after which an endpoint gets no calls.", ge=1)
    healthy_threshold: Count = setting(1, "Good checks in a row after which it gets calls again.", ge=1)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.timeout > self.interval:
            raise conflict("timeout must be at most interval", "timeout", "interval")
        return self


class Breaker(Section):
    """When calls speak against an endpoint, or against one model there. A refusal by a rate limit never does."""

    calls: Count = setting(20, "Last calls that are looked at.", ge=1)
    window: Seconds = setting("30s", "How far back they may lie.", gt=0)
    in_a_row: Count = setting(5, "Failures in a row after which it gets no calls.", ge=1)
    min_volume: Count = setting(10, "Fewest calls to judge by.", ge=1)
    error_share: Share = setting("50%", "Share of failures among them from which on it gets no calls.", gt=0)
    open_for: Seconds = setting(
        "10s", "Pause until it is checked, and between further checks; doubled each time that it fails again.", gt=0
    )
    most_open_for: Seconds = setting("1m", "Longest such pause, if `open_for` is not longer.", gt=0)
    refused_for: Seconds = setting(
        "30s",
        "Pause after a key, a credit or a model was refused, until one call tries it; doubled each time it is again.",
        gt=0,
    )
    most_refused_for: Seconds = setting("10m", "Longest such pause, if `refused_for` is not longer.", gt=0)
    probes: Count = setting(3, "Good calls after a good check that end it; at most so many are tried at once.", ge=1)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.min_volume > self.calls:
            raise conflict("min_volume must be at most calls", "min_volume", "calls")
        return self


class ModelRouting(Section):
    """How requests for some models are routed."""

    match: str = required('Models that it is for; "*" stands for any text.', min_length=1)
    algorithm: Algorithm | None = setting(None, "In place of `routing.algorithm`.")
    providers: list[str] = setting(
        [],
        "Names of providers, in the order in which they are tried; none: all that serve the model, as they are listed.",
    )
    fallbacks: list[str] = setting(
        [],
        "Models that stand in, in order, where the model's context window is too small or all that serve it are down.",
    )


class Distribution(Section):
    """How load is spread inside a worker and over workers."""

    local: Literal["in-memory"] = setting("in-memory", "How requests are spread inside a worker.")
    remote: Literal["consistent-hashing"] = setting("consistent-hashing", "How agents are spread over partitions.")


class Routing(Section):
    """How one of a provider's endpoints is chosen."""

    algorithm: Algorithm = setting(
        "round_robin",
        "How an endpoint is chosen; `affinity`: the same one for a conversation, so that prompt caches hit.",
    )
    models: list[ModelRouting] = setting([], "Rules for single models; the first that fits holds.")
    breaker: Breaker = Field(default_factory=Breaker)
    health_check: HealthCheck = Field(default_factory=HealthCheck)
    distribution: Distribution = Field(default_factory=Distribution)
