"""[metrics], [http] and [targets]: what is measured, where it is served, and what it is held against."""

import platform
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from streams.settings.base import Section, conflict, setting
from streams.settings.listen import listen_address
from streams.settings.secrets import EnvName, api_key, secret_from_env
from streams.settings.units import Count, PerSecond, Seconds, Share

SystemMetric = Literal["cpu_usage", "memory_usage", "network_io", "disk_io"]
ApplicationMetric = Literal["request_latency", "queue_length", "error_rate", "throughput"]


class SystemMetrics(Section):
    """Samples of the machine."""

    metrics: list[SystemMetric] = setting(
        ["cpu_usage", "memory_usage", "network_io", "disk_io"], "What is sampled of the machine."
    )


class ApplicationMetrics(Section):
    """Samples of the pipeline."""

    metrics: list[ApplicationMetric] = setting(
        ["request_latency", "queue_length", "error_rate", "throughput"], "What is sampled of the pipeline."
    )
    tags: list[Literal["component", "operation", "status"]] = setting(
        ["component", "operation", "status"], "Labels of the samples."
    )


class Metrics(Section):
    """Samples and windows on the metric topics."""

    interval: Seconds = setting("10s", "Time between two samples of a worker.", ge=1)
    aggregation: Seconds = setting("1m", "Length of a window.", ge=1)
    grace: Seconds = setting(
        "10s", "How long a window waits for late samples, and how far a worker's clock may be ahead of the broker's."
    )
    semconv: Literal["new", "old", "both"] = setting(
        "new",
        "Names of OpenTelemetry's conventions in metrics and spans: today's, the ones they replaced, or both.",
    )
    system: SystemMetrics = Field(default_factory=SystemMetrics)
    application: ApplicationMetrics = Field(default_factory=ApplicationMetrics)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        ratio = self.aggregation / self.interval
        if ratio < 1 or abs(ratio - round(ratio)) > 1e-9:
            raise conflict("aggregation must be a whole multiple of interval", "aggregation", "interval")
        return self


class Http(Section):
    """The worker's own HTTP server."""

    listen: Annotated[str, AfterValidator(listen_address)] = setting(
        "127.0.0.1:0", "Address of /metrics, /healthz and /readyz; port 0 takes any free one and logs it."
    )
    hosts: list[str] = setting(
        [], "Names by which a worker's /agents and /providers may be asked for, besides addresses and localhost."
    )
    advertise: Annotated[str, AfterValidator(listen_address)] | None = setting(
        None,
        "HOST:PORT at which fronts and the control room ask this worker where requests are. By default the address that it "
        "listens on; where that is every address of the machine, the machine's name.",
    )
    token_env: EnvName | None = setting(
        None,
        "Name of the environment variable with the token that lets other machines change something (/providers/drain).",
    )

    def token(self, environ: Mapping[str, str] | None = None) -> str | None:
        """The token, read now; None where there is none. Raises SettingsError."""
        return None if self.token_env is None else secret_from_env("http.token_env", self.token_env, api_key, environ)

    def advertised(self, bound: str) -> str:
        """What others are told, of the address that was bound."""
        host, _, port = bound.rpartition(":")
        is_every = ip_address(host.strip("[]")).is_unspecified
        return self.advertise or (f"{platform.node()}:{port}" if is_every else bound)

    @property
    def host(self) -> str:
        """Host to bind, without the brackets of IPv6."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """Port to bind; 0 for any free one."""
        return int(self.listen.rpartition(":")[2])


class LatencyTargets(Section):
    """How quick an answer should be."""

    p95: Seconds = setting("200ms", "95 % of the answers are quicker.")
    p99: Seconds = setting("500ms", "99 % of the answers are quicker.")
    max: Seconds = setting("1s", "Every answer is quicker.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if not self.p95 <= self.p99 <= self.max:
            raise conflict("the order is p95, p99, max", "p95", "p99", "max")
        return self


class ThroughputTargets(Section):
    """How much should pass."""

    messages: PerSecond = setting("1000/s", "Messages that pass.")
    concurrent_agents: Count = setting(100, "Agents at the same time.")
    concurrent_chats: Count = setting(50, "Chats at the same time.")


class ReliabilityTargets(Section):
    """How little should fail."""

    uptime: Share = setting("99.9%", "Share of the time in which requests are answered.")
    error_rate: Share = setting("0.1%", "Share of requests that may fail, at most.")
    recovery_time: Seconds = setting("30s", "Time until a fault is mended, at most.")


class Targets(Section):
    """What a run is measured against."""

    latency: LatencyTargets = Field(default_factory=LatencyTargets)
    throughput: ThroughputTargets = Field(default_factory=ThroughputTargets)
    reliability: ReliabilityTargets = Field(default_factory=ReliabilityTargets)
