"""Planned requests, sent when they are due, and a view of how it goes."""

import asyncio
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import cast

from ops.load.ledger import Summary
from ops.load.request import PlannedRequest
from ops.load.traffic import Traffic
from topics.names import Priority


@dataclass(frozen=True, slots=True)
class View:
    """The state of a load while it runs."""

    elapsed_s: float
    in_flight: int
    """Handed in, and neither answered nor dead yet."""
    summary: Summary

    def fields(self) -> list[tuple[str, str]]:
        """Names and values for people, the statuses that have not come left out."""
        books = asdict(self.summary)
        shown = [
            ("elapsed", f"{self.elapsed_s:.0f} s"),
            ("sent", str(self.summary.sent)),
            ("answered", str(self.summary.answered)),
            ("in flight", str(self.in_flight)),
            ("p50", written_ms(self.summary.p50_ms)),
            ("p95", written_ms(self.summary.p95_ms)),
        ]
        return shown + [(name, str(books[name])) for name in ENDINGS if books[name]]


ENDINGS = ("ok", "error", "expired", "rejected", "dead", "duplicates")


def written_ms(value_ms: float) -> str:
    """Milliseconds for people.

    >>> written_ms(12.4), written_ms(2310)
    ('12 ms', '2.31 s')
    """
    return f"{value_ms:.0f} ms" if value_ms < 1000 else f"{value_ms / 1000:.2f} s"


class Player:
    """Sends planned requests at their times and says how far it is.

    A request that is late, because the broker was slow to take the one before, goes out at once: the load keeps its
    shape and is never thinned out.
    """

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._began: float | None = None

    async def play(self, requests: Iterable[PlannedRequest]) -> None:
        """Send them all; returns when the last one was handed to the producer."""
        loop = asyncio.get_running_loop()
        self._began = began = loop.time()
        for request in requests:
            wait_s = began + request.at_s - loop.time()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            await self._traffic.send(
                cast("Priority", request.priority), request.agent_id, request.value, request.request_id
            )

    def view(self) -> View:
        elapsed_s = 0.0 if self._began is None else asyncio.get_running_loop().time() - self._began
        return View(elapsed_s, self._traffic.open, self._traffic.ledger.summary())
