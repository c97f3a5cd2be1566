"""What a worker paid, on its way to `costs.windows`: every 10 s what is new of a minute, and the rest when it ends."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from prometheus_client import Counter

from schemas.cost import PICO, amount_text
from schemas.cost_window import CostWindow, cost_window_key
from streams.metrics import definitions as metrics
from streams.money.spent import Spent
from streams.money.windows import CostBook, Names
from streams.supervise import end, supervised
from topics.headers import message_headers

log = structlog.get_logger("headrace.money")

_EVERY_S: Final = 10.0
"""What a worker that is killed has not told yet: the answers themselves have it (`headrace cost --from answers`)."""
_WITHIN_S: Final = 10.0
_LEAVE_S: Final = 0.3


class CostWindows:
    """Of one worker, from `start` to `stop`. `producer` is started and stopped by its owner; `now` is the broker's time."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, worker_id: str, now: Callable[[], float]) -> None:
        self._producer = producer
        self._topic = topic
        self._book = CostBook(worker_id)
        self._now = now
        self._counters: dict[tuple[str, str], Counter] = {}
        self._failing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = supervised("cost_windows", self._run)

    async def stop(self) -> None:
        """Tell what is left, within 0.3 s: a broker takes milliseconds, and one that is gone must not hold up the end."""
        if self._task is not None:
            await end([self._task])
            try:
                async with asyncio.timeout(_LEAVE_S):
                    await self.tell()
            except TimeoutError:
                log.warning(
                    "what was paid lately is not in the windows of costs; the answers have it", topic=self._topic
                )

    def paid(self, names: Names, spent: Spent, calls: int, prompt_tokens: int, completion_tokens: int) -> None:
        """A request that called a provider was answered."""
        self._book.paid(
            self._now(),
            names,
            pico=spent.pico,
            calls=calls,
            estimated=spent.estimated,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
        )
        if spent.pico:
            self._counter(names.tenant, names.provider).inc(spent.pico / PICO)

    def _counter(self, tenant: str, provider: str) -> Counter:
        """A look-up of labels costs 1.5 us; there are few tenants and providers."""
        found = self._counters.get((tenant, provider))
        if found is None:
            found = self._counters[tenant, provider] = metrics.COST_USD.labels(tenant, provider)
        return found

    async def tell(self) -> None:
        """Write every minute that has something new. Raises nothing; what is not taken is written again the next time."""
        windows = list(self._book.take())
        for number, window in enumerate(windows):
            try:
                async with asyncio.timeout(_WITHIN_S):
                    await self._send(window)
            except (KafkaError, TimeoutError, asyncio.CancelledError) as error:
                for each in windows[number:]:
                    self._book.again(each)
                if isinstance(error, asyncio.CancelledError):
                    raise
                metrics.COST_WINDOWS.labels("failed").inc()
                if not self._failing:  # once, until one is taken again
                    self._failing = True
                    log.warning("windows of costs cannot be written now, trying again", error=repr(error))
                break
            metrics.COST_WINDOWS.labels("ok").inc()
            self._failing = False
        if lost := self._book.forget(self._now()):
            log.error("windows of costs are given up after an hour; the answers have them", cost=amount_text(lost))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_S)
            await self.tell()

    async def _send(self, window: CostWindow) -> None:
        key = cost_window_key(window.worker_id, int(window.minute.timestamp()))
        headers = message_headers(
            "cost_window", event_id=uuid.uuid4().hex, source=f"/headrace/{window.worker_id}", time=datetime.now(UTC)
        )
        await self._producer.send_and_wait(self._topic, window.to_json(), key, partition=0, headers=headers)
