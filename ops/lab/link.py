"""What a broken network does to bytes on their way. Pure: `proxy` asks for each piece, and does what it is told.

The kinds are Toxiproxy's (https://github.com/Shopify/toxiproxy, "Toxics"): `latency` with jitter, `reset_peer`, `timeout` of 0
and `slicer`; and the one-way partition of Jepsen's nemesis.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

Mode = Literal["well", "delay", "cut", "half_open", "drip", "no_answers"]
Way = Literal["in", "out"]
"""`in`: from a client to the broker. `out`: the broker's answers."""

_DRIP_BYTES: Final = 64
_DRIP_EVERY_S: Final = 0.05
"""About 1 KB/s: a heartbeat gets through in time, a fetch of any size does not."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes that go on `after_s` seconds after those before them."""

    data: bytes
    after_s: float = 0.0


@dataclass(slots=True)
class Link:
    """The state of the network before one broker.

    `cut` resets what is open and refuses what comes. `half_open` takes connections and bytes and passes none on. `no_answers`
    passes what clients send and swallows what the broker says. `drip` passes a few bytes at a time.

    >>> link = Link(random.Random(1)); link.set("no_answers")
    >>> [piece.data for piece in link.pass_on("in", b"ask")], list(link.pass_on("out", b"answer"))
    ([b'ask'], [])
    """

    rng: random.Random
    mode: Mode = "well"
    delay_s: float = 0.0
    jitter_s: float = 0.0
    torn: bool = field(default=False)
    """Whether bytes were swallowed since the mode was last `well`: streams with a hole in them must not go on."""

    def set(self, mode: Mode, delay_s: float = 0.0, jitter_s: float = 0.0) -> None:
        """From now on the network is so."""
        self.mode, self.delay_s, self.jitter_s = mode, delay_s, jitter_s
        if mode == "well":
            self.torn = False

    @property
    def accepts(self) -> bool:
        """Whether a connection comes about."""
        return self.mode != "cut"

    @property
    def reaches(self) -> bool:
        """Whether a new connection reaches the broker; else it is taken and its bytes go nowhere."""
        return self.mode != "half_open"

    def pass_on(self, way: Way, data: bytes) -> Iterator[Piece]:
        """What becomes of bytes that arrived: pieces in their order, or nothing."""
        if self.mode == "half_open" or self.mode == "cut" or (self.mode == "no_answers" and way == "out"):
            self.torn = True
        elif self.mode == "delay":
            yield Piece(data, max(0.0, self.delay_s + self.rng.uniform(-self.jitter_s, self.jitter_s)))
        elif self.mode == "drip":
            for start in range(0, len(data), _DRIP_BYTES):
                yield Piece(data[start : start + _DRIP_BYTES], _DRIP_EVERY_S)
        else:
            yield Piece(data)
