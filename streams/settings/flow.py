"""[queueing], [backpressure], [pool], [concurrency] and [agents]: what protects a worker. All of it is per worker."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from streams.settings.base import Section, conflict, setting
from streams.settings.units import Bytes, Count, Flag, PerSecond, Seconds, Share

Priority = Literal["high", "normal", "low"]


def _each_once(order: list[Priority]) -> list[Priority]:
    if sorted(order) != ["high", "low", "normal"]:
        raise ValueError('"high", "normal" and "low", each once')
    return order


class QueueTimeouts(Section):
    """How long a request of each class may wait for dispatch, from its record's timestamp."""

    high: Seconds = setting("10s", "Longest wait for dispatch of a high request.", gt=0)
    normal: Seconds = setting("30s", "Longest wait for dispatch of a normal request.", gt=0)
    low: Seconds = setting("60s", "Longest wait for dispatch of a low request.", gt=0)


class QueueWeights(Section):
    """What each class gets while all of them wait: shares of the dispatches, in proportion."""

    high: Count = setting(8, "Weight of high requests.", ge=1, le=1000)
    normal: Count = setting(3, "Weight of normal requests.", ge=1, le=1000)
    low: Count = setting(1, "Weight of low requests.", ge=1, le=1000)


class QueueDepth(Section):
    """How much of one class may wait in a worker; quotas of partitions are usually reached before."""

    requests: Count = setting(10_000, "Waiting requests of a class; further ones are answered `queue_full`.", ge=1)
    bytes: Bytes = setting("64MB", "Their bytes; what is beyond is answered `queue_full`.", ge=1)


class Queueing(Section):
    """The order in which waiting requests are served."""

    priority: Annotated[list[Priority], AfterValidator(_each_once)] = setting(
        ["high", "normal", "low"],
        "Classes of requests, highest first: the order in which records are taken from Kafka.",
    )
    weights: QueueWeights = Field(default_factory=QueueWeights)
    ordering: Literal["none", "conversation", "agent"] = setting(
        "none",
        "Whether requests of one conversation, or of one agent, are called one at a time, in order. Then none are merged.",
    )
    timeout: QueueTimeouts = Field(default_factory=QueueTimeouts)
    depth: QueueDepth = Field(default_factory=QueueDepth)
    refuse_early: Flag = setting(
        False, "Whether a request that would wait past its time, as things go, is answered `expired` at once."
    )


class Backpressure(Section):
    """Admission, and how much may wait before partitions are paused."""

    strategy: Literal["token_bucket"] = setting("token_bucket", "How requests are admitted.")
    rate: PerSecond = setting("1000/s", "Requests dispatched to providers.")
    burst: Count = setting(100, "Requests dispatched at once after a quiet time.", ge=1)
    partition_records: Count = setting(1000, "Waiting records of one partition at which it is paused.", ge=1)
    partition_bytes: Bytes = setting("8MB", "Waiting bytes of one partition at which it is paused.", ge=1)
    resume_share: Share = setting("50%", "A paused partition goes on below this share of its quota.", gt=0)
    agent_share: Share = setting(
        "50%",
        "Share of a partition's quota that one agent's waiting requests may fill; further ones are answered `queue_full`,"
        " so that the agents behind it go on. 100% lets them wait in Kafka, and the others with them.",
        gt=0,
    )
    provider_share: Share = setting(
        "50%",
        "Where there are several providers: share of a partition's and of a class's quota that the waiting requests for one of"
        " them may fill; further ones are answered `queue_full`, so that those for the others go on. 100%: as `agent_share`.",
        gt=0,
    )


class PoolWorkers(Section):
    """How many dispatchers a worker runs."""

    min: Count = setting(4, "Fewest dispatchers.", ge=1)
    max: Count = setting(16, "Most dispatchers.", ge=1)
    scaling: Literal["dynamic", "fixed"] = setting("dynamic", "Whether the number follows the load, or stays at `max`.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.min > self.max:
            raise conflict("min must be at most max", "min", "max")
        return self


class PoolBatch(Section):
    """How many requests a dispatcher keeps in flight."""

    size: Count = setting(
        100, "Most calls that one dispatcher keeps under way, and most inputs of a merged call.", ge=1
    )
    timeout: Seconds = setting(
        "1s", "Longest wait of an embeddings request for others to share its call; none while a dispatcher is idle."
    )


class Pool(Section):
    """The dispatchers."""

    workers: PoolWorkers = Field(default_factory=PoolWorkers)
    queue: Literal["priority-based"] = setting("priority-based", "What dispatchers take from.")
    batch: PoolBatch = Field(default_factory=PoolBatch)


class Concurrency(Section):
    """Calls under way."""

    total: Count = setting(1000, "Most calls under way in a worker (the specification's `global`).", ge=1)
    high_share: Share = setting(
        "10%", "Share of the slots, of a worker and of a host, that only high requests take.", lt=1
    )
    per_agent: Count = setting(50, "Most calls under way of one agent.", ge=1)
    per_host: Count = setting(20, "Most calls under way to one provider host.", ge=1)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        for key, value in (("per_agent", self.per_agent), ("per_host", self.per_host)):
            if value > self.total:
                raise conflict(f"{key} must be at most total", key, "total")
        return self


class AgentMemory(Section):
    """Bytes of one agent's queued and in-flight requests."""

    baseline: Bytes = setting("50MB", "What an agent is planned to use.")
    peak: Bytes = setting("150MB", "What an agent may use at most; beyond it its requests are answered `queue_full`.")
    cleanup: Literal["automated"] = setting("automated", "How memory of idle agents is given back.")
    warning: Bytes = setting("120MB", "Above this an agent is named in the log.")
    critical: Bytes = setting("140MB", "Above this an agent's requests queue behind everyone else's.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if not self.baseline <= self.warning <= self.critical <= self.peak:
            raise conflict("the order is baseline, warning, critical, peak", "warning", "critical", "peak", "baseline")
        return self


class AgentCpu(Section):
    """One agent's share of the worker's busy time: of the time that calls are under way, the last ten seconds or so."""

    baseline: Share = setting("5%", "What an agent is planned to use.")
    peak: Share = setting("25%", "What an agent may use at most.")
    throttle_threshold: Share = setting("20%", "Above this an agent's requests queue behind everyone else's.")
    throttle_action: Literal["queue requests"] = setting("queue requests", "What throttling does to an agent.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if not self.baseline <= self.throttle_threshold <= self.peak:
            raise conflict("the order is baseline, throttle_threshold, peak", "throttle_threshold", "peak", "baseline")
        return self


class AgentConnections(Section):
    """Connections to providers that one agent's calls may hold."""

    pool_size: Count = setting(10, "Most connections that one agent's calls hold.", ge=1)
    timeout: Seconds = setting("30s", "Longest wait of an agent's next request for one of them.", gt=0)
    idle_timeout: Seconds = setting(
        "5m", "An idle connection is closed after this, or earlier by `network.keep_alive.timeout`.", gt=0
    )


class Agents(Section):
    """What one agent may use of a worker."""

    memory: AgentMemory = Field(default_factory=AgentMemory)
    cpu: AgentCpu = Field(default_factory=AgentCpu)
    connections: AgentConnections = Field(default_factory=AgentConnections)
