"""[memory], [gc], [loop], [pooling], [network] and [logging]: how a worker treats its process and its connections."""

from typing import Final, Literal, Self

from pydantic import Field, model_validator

from streams.settings.base import Section, conflict, setting
from streams.settings.units import Bytes, BytesOrAuto, Count, Flag, Seconds, Share

LEAST_BUDGET_BYTES: Final = 150_000_000


class Memory(Section):
    """How much memory a worker may use, and what it does when that is short."""

    budget: BytesOrAuto = setting(
        "auto",
        "Resident memory that a worker stays below; auto takes 90% of its cgroup's limit, or 25% of the machine's memory.",
    )
    hold: Share = setting(
        "90%", "Share of the budget above which no more records are taken, until it is below gc.aggressive again.", gt=0
    )
    check_interval: Seconds = setting("100ms", "How often memory is looked at.", ge=0.01, le=10)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.budget is not None and self.budget < LEAST_BUDGET_BYTES:
            raise conflict("budget must be at least 150MB: an idle worker takes 110MB", "budget")
        return self


class Loop(Section):
    """The event loop."""

    stall: Seconds = setting("1s", "An event loop that stands still for so long is reported with its stack.", ge=0.1)


class Gc(Section):
    """When a worker collects garbage beyond what Python does by itself. Shares are of its memory budget."""

    strategy: Literal["generational"] = setting("generational", "How garbage is collected.")
    threshold: Share = setting("75%", "Memory use above which the young generations are collected.", gt=0)
    aggressive: Share = setting(
        "85%",
        "Memory use above which everything is collected, the memory cache is cut, and memory is given back to the system.",
        gt=0,
    )
    interval: Seconds = setting("1s", "Least time between two such collections.", ge=0.1)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.threshold > self.aggressive:
            raise conflict("threshold must be at most aggressive", "threshold", "aggressive")
        return self


class Pooling(Section):
    """What is used again instead of made anew (docs/decisions/0021-governor.md has the measurements)."""

    buffers: Flag = setting(
        True,
        "Whether the allocator keeps freed buffers for the next ones; without it those of 32 KiB and more go back to the "
        "system at once: less memory, and seven times the time to get one.",
    )
    connections: Flag = setting(True, "Whether connections are used again.")
    objects: Flag = setting(
        True, "Whether objects are used again: Python's allocator always does, so this cannot be turned off."
    )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if not self.objects:
            raise conflict(
                "objects cannot be false: Python's allocator always uses the memory of objects again", "objects"
            )
        return self


class NetworkCompression(Section):
    """Compression of what goes to endpoints that accept it (`providers[].endpoints[].accepts_gzip`)."""

    threshold: Bytes = setting("1KB", "Bodies below this are sent as they are.")
    algorithm: Literal["gzip", "none"] = setting("gzip", "How larger ones are compressed.")


class KeepAlive(Section):
    """Connections that wait for their next call."""

    enabled: Flag = setting(True, "Whether connections stay open between calls.")
    timeout: Seconds = setting(
        "60s", "How long an idle one stays open that carries one call at a time (HTTP/1.1).", gt=0
    )


class Network(Section):
    """Connections to providers."""

    multiplexing: Flag = setting(
        True, "Whether calls share connections where the provider speaks HTTP/2 and one each would be too many."
    )
    multiplexing_from: Count = setting(
        100, "Calls at a time to one host from which on one connection each is too many; 1: always.", ge=1
    )
    compression: NetworkCompression = Field(default_factory=NetworkCompression)
    keep_alive: KeepAlive = Field(default_factory=KeepAlive)


class Logging(Section):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = setting("info", "Least level that is logged.")
    format: Literal["auto", "json", "console"] = setting(
        "auto", "One JSON object a line, or text for people; auto takes JSON when stderr is no terminal."
    )
    lines_per_second: Count = setting(
        20, "Most lines a second of one event; the rest is counted and the count logged.", ge=1
    )
