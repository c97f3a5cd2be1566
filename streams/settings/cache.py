"""[cache.memory] and [cache.disk]: the two tiers of the answer cache. Both are per worker."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from streams.settings.base import Section, conflict, setting
from streams.settings.units import Bytes, Flag, Number, Seconds, Share


class CacheSegments(Section):
    """How the memory tier is divided."""

    responses: Share = setting("60%", "Share for answers.")
    metadata: Share = setting("30%", "Share for finished requests and other facts about them.")
    routing: Share = setting("10%", "Share for routes. They need none, so it is lent to `responses`.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        total = self.responses + self.metadata + self.routing
        if abs(total - 1) > 1e-9:
            raise conflict(
                f"responses, metadata and routing must add up to 100%, not {total * 100:.6g}%",
                "responses",
                "metadata",
                "routing",
            )
        return self


class MemoryCache(Section):
    """The tier in memory."""

    size: Bytes = setting("1GB", "Bytes that the tier may hold.")
    algorithm: Literal["LRU"] = setting("LRU", "What goes first when the tier is full.")
    ttl: Seconds = setting("5m", "How long an entry is good.", gt=0)
    segments: CacheSegments = Field(default_factory=CacheSegments)


class DiskCache(Section):
    """The tier on disk."""

    type: Literal["disk-backed"] = setting("disk-backed", "What the tier is.")
    size: Bytes = setting("10GB", "Bytes that the tier may hold.")
    cleanup: Literal["periodic"] = setting("periodic", "How expired entries go.")
    cleanup_interval: Seconds = setting("5m", "Time between two cleanups.", ge=1)
    compression: Flag = setting(True, "Whether entries are compressed.")
    ttl: Seconds = setting("24h", "How long an entry is good, on disk and on the cache topic.", gt=0)
    path: Path = setting("data/cache", "Folder of the store; each worker takes a folder of its own below it.")


class Cache(Section):
    """The answer cache."""

    namespace: Literal["fleet", "agent", "none"] = setting(
        "fleet", "Who shares answers: all agents, each agent with itself, or nobody."
    )
    max_temperature: Number = setting(
        1.0, "Answers to requests with a higher temperature are not shared; no temperature counts as 0.", ge=0, le=10
    )
    finished_window: Seconds = setting(
        "10m", "For so long a request that was answered `ok` is answered again from memory of it.", gt=0
    )
    ready_within: Seconds = setting(
        "10s", "A worker is ready when it has read what the others cached, or after this time.", ge=0
    )
    memory: MemoryCache = Field(default_factory=MemoryCache)
    disk: DiskCache = Field(default_factory=DiskCache)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.memory.ttl > self.disk.ttl:
            raise conflict("memory.ttl must be at most disk.ttl", "memory.ttl", "disk.ttl")
        if self.finished_window > self.disk.ttl:
            raise conflict("finished_window must be at most disk.ttl", "finished_window", "disk.ttl")
        return self
