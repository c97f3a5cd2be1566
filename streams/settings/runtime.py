"""[gc], [pooling], [network] and [logging]: how a worker treats its process and its connections."""

from typing import Literal, Self

from pydantic import Field, model_validator

from streams.settings.base import Section, conflict, setting
from streams.settings.units import Bytes, Count, Flag, Seconds, Share


class Gc(Section):
    """When a worker collects garbage beyond what Python does by itself. Shares are of its memory budget."""

    strategy: Literal["generational"] = setting("generational", "How garbage is collected.")
    threshold: Share = setting("75%", "Memory use above which the young generations are collected.", gt=0)
    aggressive: Share = setting("85%", "Memory use above which everything is collected.", gt=0)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.threshold > self.aggressive:
            raise conflict("threshold must be at most aggressive", "threshold", "aggressive")
        return self


class Pooling(Section):
    """What is used again instead of made anew."""

    buffers: Flag = setting(True, "Whether buffers are used again.")
    connections: Flag = setting(True, "Whether connections are used again.")
    objects: Flag = setting(True, "Whether objects are used again.")


class NetworkCompression(Section):
    """Compression of what goes to providers."""

    threshold: Bytes = setting("1KB", "Bodies below this are sent as they are.")
    algorithm: Literal["gzip", "none"] = setting("gzip", "How larger ones are compressed.")


class KeepAlive(Section):
    """Connections that wait for their next call."""

    enabled: Flag = setting(True, "Whether connections stay open between calls.")
    timeout: Seconds = setting("60s", "How long an idle one stays open.", gt=0)


class Network(Section):
    """Connections to providers."""

    multiplexing: Flag = setting(True, "Whether calls share a connection where the provider speaks HTTP/2.")
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
