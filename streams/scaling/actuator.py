"""The loop between decisions and a realizer: the newest decision in force is carried out, and its result is published.

Read the topic to its end, take the newest, apply it. One that is overtaken while it is applied is published as `superseded`. A
failure is published once for each decision and tried again, as long as no newer one comes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.errors import clip
from schemas.scaling_decision import ScalingDecision
from schemas.scaling_event import ScalingEvent, ScalingOutcome
from streams.metrics import definitions as metrics
from streams.scaling.decider import KEY
from streams.scaling.realizers.base import Applied, RealizeError, Realizer
from streams.scaling.tail import ScalingTail
from topics.headers import message_headers

log = structlog.get_logger("headrace.scaling")

_AGAIN_S: Final = 5.0


class Actuator:
    """Carries decisions out while `acts()` says so.

    Args:
        tail: of the decisions; started and stopped by others.
        producer: writes the events.
        realizer: makes the workers.
        source: names this process in the events' headers.
        acts: whether this process is the one to act; where several may, that is settled by others.
        now: Unix seconds.
        again_s: pause after a failure, and between two looks at `acts`.
    """

    def __init__(
        self,
        tail: ScalingTail,
        producer: AIOKafkaProducer,
        realizer: Realizer,
        source: str,
        *,
        acts: Callable[[], bool],
        now: Callable[[], float],
        again_s: float = _AGAIN_S,
    ) -> None:
        self._tail = tail
        self._producer = producer
        self._realizer = realizer
        self._source = source
        self._acts = acts
        self._now = now
        self._again_s = again_s
        self._applied = 0
        self._failed = 0

    async def run(self) -> None:
        """Go on until cancelled. A broker that is away is waited for."""
        while True:
            try:
                await self.apply_newest()
            except (KafkaError, TimeoutError, OSError) as error:
                log.warning("decisions cannot be carried out now, trying again", error=repr(error))
            await self._tail.until(lambda: self._acts() and self._tail.decisions.epoch > self._seen, self._again_s)

    def forget(self) -> None:
        """Carry the newest decision out again: what was made of it is gone."""
        self._applied = self._failed = 0

    @property
    def _seen(self) -> int:
        return max(self._applied, self._failed)

    async def apply_newest(self) -> None:
        """Carry out the newest decision in force, if this process is the one to act."""
        if not self._acts():
            return
        await self._tail.catch_up()
        decision = self._tail.decisions.newest
        if decision is None or decision.epoch <= self._applied:
            return
        began = time.monotonic()
        try:
            applied = await self._unless_overtaken(decision)
        except RealizeError as error:
            if decision.epoch != self._failed:
                self._failed = decision.epoch
                log.error("a decision is not carried out", epoch=decision.epoch, error=str(error))
                await self._say(decision, "failed", None, began, str(error))
            return
        self._applied = decision.epoch
        if applied is None:
            await self._say(decision, "superseded", None, began)
        elif applied.before != applied.after:
            await self._say(decision, "applied", applied, began)

    async def _unless_overtaken(self, decision: ScalingDecision) -> Applied | None:
        """Apply it; None if a newer decision wants another number before that is done."""

        def overtaken() -> bool:
            newest = self._tail.decisions.newest
            return newest is not None and newest.workers_wanted != decision.workers_wanted

        applying = asyncio.create_task(self._realizer.apply(decision))
        try:
            while not applying.done():
                newer = asyncio.create_task(self._tail.until(overtaken, self._again_s))
                await asyncio.wait([applying, newer], return_when=asyncio.FIRST_COMPLETED)
                if not newer.done():
                    newer.cancel()
                elif newer.result() and not applying.done():
                    return None
            return applying.result()
        finally:
            applying.cancel()
            await asyncio.gather(applying, return_exceptions=True)

    async def _say(
        self,
        decision: ScalingDecision,
        outcome: ScalingOutcome,
        applied: Applied | None,
        began: float,
        message: str = "",
    ) -> None:
        metrics.SCALING_OUTCOMES.labels(outcome).inc()
        at = datetime.fromtimestamp(self._now(), UTC)
        event = ScalingEvent(
            epoch=decision.epoch,
            at=at,
            outcome=outcome,
            workers_before=applied.before if applied is not None else decision.workers_now,
            workers_after=applied.after if applied is not None else decision.workers_now,
            realizer=self._realizer.name,
            took_s=time.monotonic() - began,
            message=clip(message),
        )
        headers = message_headers("scaling_event", event_id=f"{decision.epoch}-{outcome}", source=self._source, time=at)
        await self._producer.send_and_wait(self._tail.names.scaling_events, event.to_json(), KEY, headers=headers)
