"""Ends answers that nobody wants any more at upstreams that go on making them without a reader."""

from __future__ import annotations

from typing import Final

import structlog

from streams.providers.endpoint import Endpoint
from streams.supervise import Jobs

log = structlog.get_logger("headrace.providers")

_WITHIN_S: Final = 5.0
_MOST: Final = 256
"""Under way at once; what is beyond is left to the upstream's own bounds."""


class UpstreamCancels:
    """Of one worker. Each is tried once."""

    def __init__(self) -> None:
        self._jobs = Jobs("upstream_cancels")
        self._open = 0

    def start(self, endpoint: Endpoint, response_id: str) -> None:
        """Have it ended, in the background."""
        if self._open >= _MOST:
            log.warning("an upstream's answer is not ended: too many are", provider=endpoint.provider)
            return
        self._open += 1
        self._jobs.start(self._end(endpoint, response_id), self._closed)

    async def _end(self, endpoint: Endpoint, response_id: str) -> None:
        if not await endpoint.client.end(response_id, _WITHIN_S):
            log.warning("an upstream could not be told that an answer is not wanted", provider=endpoint.provider)
        self._closed()

    def _closed(self) -> None:
        self._open -= 1

    async def stop(self) -> None:
        """Those under way are not waited for."""
        await self._jobs.end()
