"""What came of actions, written to the topic that they came from."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.admin import ActionName, AdminOutcome, BudgetMark, OutcomeState
from schemas.cost import amount_text
from schemas.errors import clip
from streams.actions.wire import AdminRecord, encode
from streams.backoff import equal_jitter_s, exponential_s
from streams.identity import process_id
from streams.money.alerts import Mark
from streams.supervise import end, supervised

log = structlog.get_logger("headrace.actions")

_MOST: Final = 1_000
_FIRST_RETRY_S, _LAST_RETRY_S = 0.2, 5.0


def outcome_of(
    action_id: str, action: ActionName, state: OutcomeState, words: str = "", touched: int | None = None
) -> AdminOutcome:
    """What came of an action here."""
    return AdminOutcome(
        action_id=action_id, action=action, state=state, process=process_id(), words=clip(words), touched=touched
    )


def mark_of(mark: Mark) -> BudgetMark:
    """A share of a budget that was reached, for the audit log."""
    return BudgetMark(
        action_id=mark.id,
        requested_by=process_id(),
        budget=mark.budget,
        name=mark.name,
        share=mark.share,
        spent=amount_text(mark.spent),
        amount=amount_text(mark.amount),
    )


class OutcomeWriter:
    """Writes outcomes, and what else a worker has to tell, one after the other, each until the broker has it. `producer` is
    started and stopped by its owner.
    """

    def __init__(self, producer: AIOKafkaProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic
        self._source = f"/headrace/{process_id()}"
        self._waiting: deque[AdminRecord] = deque()
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = supervised("admin_outcomes", self._run)

    async def stop(self) -> None:
        if self._task is not None:
            await end([self._task])

    def tell(self, outcome: AdminRecord) -> None:
        """Have it written. Where a thousand wait already, it is left out: they come of a broker that is away for long."""
        if len(self._waiting) >= _MOST:
            log.warning("what came of an action is not written, too many wait", action_id=outcome.action_id)
            return
        self._waiting.append(outcome)
        self._more.set()

    async def _run(self) -> None:
        failures = 0
        while True:
            await self._more.wait()
            try:
                while self._waiting:
                    record = encode(self._waiting[0], self._source)
                    await self._producer.send_and_wait(
                        self._topic, record.value, key=record.key, partition=0, headers=record.headers
                    )
                    self._waiting.popleft()
                    failures = 0
                self._more.clear()
            except (KafkaError, TimeoutError) as error:
                failures += 1
                if failures == 1:
                    log.warning("what came of an action cannot be written now, trying again", error=repr(error))
                await asyncio.sleep(equal_jitter_s(exponential_s(failures, _FIRST_RETRY_S, _LAST_RETRY_S)))
