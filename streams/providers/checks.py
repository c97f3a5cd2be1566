"""Active health checks: every endpoint at an interval, one with an open breaker as soon as its pause is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from streams.providers.endpoint import Endpoint
from streams.supervise import Loops


@dataclass(frozen=True, slots=True)
class CheckTimes:
    """Seconds between two checks of an endpoint, and until one without an answer has failed."""

    interval_s: float
    timeout_s: float


class HealthChecks:
    """Of the endpoints that `follow` names, until it is stopped. The first check of each endpoint comes at a random moment of the
    first interval, so that a fleet that was started at once does not check at once; `random` gives numbers in [0, 1).
    """

    def __init__(self, times: CheckTimes, random: Callable[[], float]) -> None:
        self._times = times
        self._random = random
        self._loops: Loops[Endpoint] = Loops("checks")

    def follow(self, endpoints: Iterable[Endpoint]) -> None:
        """Check these from now on, and no others."""
        self._loops.keep({each: partial(self._run, each) for each in endpoints})

    async def _run(self, endpoint: Endpoint) -> None:
        interval_s = self._times.interval_s
        due = time.monotonic() + self._random() * interval_s
        while True:
            now = time.monotonic()
            wait_s = min(due - now, endpoint.health.next_check_s(interval_s, now))
            if wait_s > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await endpoint.changed.wait()  # its breaker may have opened: then the check is due earlier
                endpoint.changed.clear()
                continue
            due = now + interval_s
            await endpoint.check(self._times.timeout_s)

    async def stop(self) -> None:
        await self._loops.end()
