"""The loop around the pure decision: who owns the samples decides, at every fleet window, and the topic says what counts.

A decision goes so: read the topics to their ends; decide; write with the next epoch, unless ownership is gone meanwhile; read
again, and see whether the record is in force. A process that was stopped between these steps and wakes up late writes an
epoch that somebody else has used already: nobody follows it. A new owner writes a decision at once, even if it only says
`hold`, so that this holds from its first moment on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.scaling_decision import ScalingDecision, ScalingState, Signals
from streams.metrics import definitions as metrics
from streams.scaling.decide import Decision, decide
from streams.scaling.policy import Policy
from streams.scaling.realizers.base import RealizeError
from streams.scaling.record import record_of
from streams.scaling.tail import ScalingTail
from topics.headers import message_headers

log = structlog.get_logger("headrace.scaling")

KEY: Final = b"workers"
_LOOK_S: Final = 0.5
"""How often ownership is looked at."""
_RETRY_S: Final = 1.0


class Decider:
    """Decides while `owns()` says so.

    Args:
        tail: of the topics; started and stopped by others.
        producer: writes the decisions.
        policy: what decisions are held to.
        decider_id: of this process.
        owns: whether this process owns the samples, and its membership is fresh.
        current: how many workers the realizer was last asked to make, where that can be asked.
        now: Unix seconds.
    """

    def __init__(
        self,
        tail: ScalingTail,
        producer: AIOKafkaProducer,
        policy: Policy,
        decider_id: str,
        *,
        owns: Callable[[], bool],
        current: Callable[[], Awaitable[int | None]],
        now: Callable[[], float],
    ) -> None:
        self._tail = tail
        self._producer = producer
        self._policy = policy
        self._decider_id = decider_id
        self._owns = owns
        self._current = current
        self._now = now
        self._window_end_s = 0.0
        self._decided_at = 0.0
        self._owned = False

    def change_policy(self, policy: Policy) -> None:
        """Decide by this from now on, and at once."""
        self._policy, self._owned = policy, False

    async def run(self) -> None:
        """Go on until cancelled. A broker that is away is waited for."""
        while True:
            try:
                if self._is_due() and await self.decide_once() is None:
                    await asyncio.sleep(_RETRY_S)
            except (KafkaError, TimeoutError, OSError) as error:
                log.warning("no decision now, trying again", error=repr(error))
                await asyncio.sleep(_RETRY_S)
            except RealizeError as error:
                log.error("no decision without knowing how many workers are asked for", error=str(error))
                await asyncio.sleep(_RETRY_S)
            await self._tail.until(self._is_due, _LOOK_S)

    def _is_due(self) -> bool:
        """At a new window, at the begin of ownership, and when a window's time has passed without one."""
        owns = self._owns()
        metrics.SCALING_LEADER.set(owns)
        if not owns:
            self._owned = False
            return False
        windows = self._tail.windows
        newest_s = windows[-1].end_s if windows else 0.0
        overdue = abs(self._now() - self._decided_at) >= 2 * self._policy.window_s
        return not self._owned or newest_s > self._window_end_s or overdue

    async def decide_once(self) -> ScalingDecision | None:
        """Make and write one decision; None if it did not count: ownership is gone, or another decider was first."""
        await self._tail.catch_up()
        # The epoch goes with what was read here: whatever is written meanwhile makes this decision a late one.
        newest, now, windows = self._tail.decisions.newest, round(self._now(), 3), self._tail.windows
        before = await self._state(newest, windows)
        policy = self._policy
        made = decide(windows, before, policy, now)
        epoch = newest.epoch + 1 if newest is not None else 1
        record = record_of(made, before, windows, policy, now, epoch, self._decider_id)
        if not self._owns() or policy is not self._policy:
            return None
        at = datetime.fromtimestamp(now, UTC)
        headers = message_headers(
            "scaling_decision",
            event_id=f"{self._decider_id}-{record.epoch}",
            source=f"/headrace/{self._decider_id}",
            time=at,
        )
        await self._producer.send_and_wait(self._tail.names.scaling_decisions, record.to_json(), KEY, headers=headers)
        await self._tail.catch_up()
        in_force = self._tail.decisions.newest
        if in_force is None or (in_force.epoch, in_force.decider_id) != (record.epoch, self._decider_id):
            log.warning("another decider was first", epoch=record.epoch, in_force=in_force and in_force.decider_id)
            return None
        self._owned, self._decided_at = policy is self._policy, now
        self._window_end_s = windows[-1].end_s if windows else 0.0
        self._tell(made, record)
        return record

    async def _state(self, newest: ScalingDecision | None, windows: Sequence[Signals]) -> ScalingState:
        """The state of the decision in force; the target is what was made of it, where that can be asked."""
        current = await self._current()
        if newest is not None and newest.next_state is not None:
            return newest.next_state if current is None else replace(newest.next_state, target=current)
        if current is not None:
            return ScalingState(current)
        reported = windows[-1].workers if windows else 0
        limits = self._policy
        return ScalingState(min(max(reported, limits.smallest), limits.largest))

    def _tell(self, made: Decision, record: ScalingDecision) -> None:
        metrics.SCALING_DECISIONS.labels(made.direction).inc()
        metrics.SCALING_REPORTED.set(record.workers_now)
        for reason in made.reasons:
            metrics.SCALING_REASONS.labels(reason).inc()
        for block in made.blocked_by:
            metrics.SCALING_BLOCKED.labels(block).inc()
        if made.direction != "hold":
            log.info(
                "the fleet should change",
                workers=made.desired, before=made.state and record.state and record.state.target,
                reasons=made.reasons, epoch=record.epoch,
            )  # fmt: skip
