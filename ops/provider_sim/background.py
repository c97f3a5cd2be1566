"""Responses that go on without a reader: `background: true`, taken up again by id and sequence number, and cancelled.

What is made is a function of the time since the call came, so that nothing has to run for it: an event is there once it is due.
Format: https://platform.openai.com/docs/guides/background.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ops.provider_sim.book import Generations
from ops.provider_sim.responses import Event, cancelled_of

_MOST: Final = 10_000
"""Responses that are remembered, the newest."""
_STREAMED_FOR_S: Final = 300.0
"""A response that is older is not streamed any more (openai/openai-python#2828), only fetched."""


@dataclass(slots=True, eq=False)
class Background:
    """One response. Times are of the monotonic clock, in seconds."""

    response: dict[str, Any]
    events: Sequence[Event]
    first_s: float
    rest_s: float
    began: float
    counts: Generations
    cancelled_at: float | None = None

    @property
    def id(self) -> str:
        found: str = self.response["id"]
        return found

    def due(self, number: int) -> float:
        """When an event is there."""
        return self.began + self.first_s + self.rest_s * number / len(self.events)

    def made(self, now: float) -> int:
        """How many events there are."""
        until = now if self.cancelled_at is None else self.cancelled_at
        if until < self.due(0):
            return 0
        if self.rest_s <= 0:
            return len(self.events)
        share = (until - self.due(0)) / self.rest_s
        return min(len(self.events), int(share * len(self.events)) + 1)

    def state(self, now: float) -> dict[str, Any]:
        """The response as a fetch shows it."""
        if self.cancelled_at is not None:
            return cancelled_of(self.response)
        if self.made(now) == len(self.events):
            return self.response
        status = "in_progress" if self.made(now) else "queued"
        return cancelled_of(self.response) | {"status": status}

    def cancel(self, now: float) -> dict[str, Any]:
        """Stop it; one that has ended stays as it is."""
        if self.cancelled_at is None and self.made(now) < len(self.events):
            self.cancelled_at = now
            self.counts.cancelled += 1
        return self.state(now)

    def streamable(self, now: float) -> bool:
        return now - self.began <= _STREAMED_FOR_S

    async def read(self, after: int, stop: int | None = None) -> AsyncIterator[bytes]:
        """The events behind a sequence number, as they come, to the end or before event `stop`."""
        number, end = after + 1, len(self.events) if stop is None else stop
        while number < end:
            made = min(end, self.made(time.monotonic()))
            if number < made:
                yield b"".join(told for _, told in self.events[number:made])
                number = made
            elif self.cancelled_at is not None:
                return
            else:
                await asyncio.sleep(max(0.002, min(0.1, self.due(number) - time.monotonic())))

    def paid(self, now: float) -> int:
        """Tokens that were made up to now."""
        made = self.made(now)
        return self.events[made - 1][0] if made else 0


class Backgrounds:
    """All of them, by id."""

    def __init__(self) -> None:
        self._by_id: OrderedDict[str, Background] = OrderedDict()

    def put(self, background: Background) -> None:
        self._by_id[background.id] = background
        while len(self._by_id) > _MOST:
            self._close(self._by_id.popitem(last=False)[1])

    def find(self, response_id: str) -> Background | None:
        return self._by_id.get(response_id)

    def forget_all(self) -> None:
        """As an upstream that has lost its store, or whose time for keeping them has passed."""
        for background in self._by_id.values():
            self._close(background)
        self._by_id.clear()

    def paid(self) -> dict[int, int]:
        """Tokens made up to now, by the identity of the counts that they belong to."""
        now = time.monotonic()
        tokens: dict[int, int] = {}
        for background in self._by_id.values():
            key = id(background.counts)
            tokens[key] = tokens.get(key, 0) + background.paid(now)
        return tokens

    @staticmethod
    def _close(background: Background) -> None:
        background.cancelled_at = background.cancelled_at or time.monotonic()
        background.counts.tokens += background.paid(background.cancelled_at)
