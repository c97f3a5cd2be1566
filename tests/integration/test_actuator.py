"""Decisions are carried out on a real broker: the newest one in force, once, and what came of it is told."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from aiokafka import AIOKafkaProducer

from schemas.scaling_decision import ScalingDecision
from schemas.scaling_event import ScalingEvent
from streams.scaling.actuator import Actuator
from streams.scaling.realizers import Applied, RealizeError
from streams.scaling.tail import ScalingTail
from tests.support.pipeline import Pipeline, wait_until
from tests.support.positions import read_all
from topics.names import SCALING_DECISIONS, SCALING_EVENTS


class Workers:
    """A realizer that takes as long as it is told, and fails as often."""

    name = "test"

    def __init__(self) -> None:
        self.count, self.failures, self.go_on = 2, 0, asyncio.Event()
        self.go_on.set()
        self.asked: list[tuple[int, int]] = []

    async def current(self) -> int | None:
        return self.count

    async def apply(self, decision: ScalingDecision) -> Applied:
        self.asked.append((decision.epoch, decision.workers_wanted))
        await self.go_on.wait()
        if self.failures:
            self.failures -= 1
            raise RealizeError("no room")
        before, self.count = self.count, decision.workers_wanted
        return Applied(before, self.count)


class Rig:
    """An actuator at work, and a hand that writes decisions."""

    def __init__(self, pipeline: Pipeline, producer: AIOKafkaProducer, workers: Workers) -> None:
        self.workers = workers
        self._pipeline = pipeline
        self._producer = producer

    async def decide(self, epoch: int, workers: int, decider: str = "a") -> None:
        record = ScalingDecision(
            epoch=epoch, at=datetime.now(UTC), action="scale_out", workers_now=2, workers_wanted=workers, reasons=("cpu",),
            decider_id=decider,
        )  # fmt: skip
        await self._producer.send_and_wait(SCALING_DECISIONS, record.to_json(), b"workers")

    async def events(self) -> list[tuple[int, str]]:
        records = await read_all(self._pipeline.client_options, [SCALING_EVENTS])
        found = [ScalingEvent.model_validate_json(record.value) for record in records]
        return [(each.epoch, each.outcome) for each in found]

    async def wait_events(self, *wanted: tuple[int, str]) -> None:
        async def are_there() -> bool:
            return await self.events() == list(wanted)

        await wait_until(are_there, 60)


@asynccontextmanager
async def acting(pipeline: Pipeline) -> AsyncIterator[Rig]:
    workers = Workers()
    async with AIOKafkaProducer(**pipeline.client_options) as producer, ScalingTail(pipeline.client_options) as tail:
        actuator = Actuator(tail, producer, workers, "/test", acts=lambda: True, now=time.time, again_s=0.5)
        running = asyncio.create_task(actuator.run())
        try:
            yield Rig(pipeline, producer, workers)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_the_newest_decision_is_carried_out_once_and_a_late_one_never(pipeline: Pipeline) -> None:
    async with acting(pipeline) as rig:
        await rig.decide(7, 3)
        await rig.wait_events((7, "applied"))
        await rig.decide(6, 9, "late")
        await rig.decide(7, 9, "late")
        await rig.decide(8, 3)
        await rig.decide(9, 4)
        await rig.wait_events((7, "applied"), (9, "applied"))
        assert rig.workers.count == 4
        assert 9 not in [workers for _, workers in rig.workers.asked]


async def test_a_failure_is_told_once_and_tried_again(pipeline: Pipeline) -> None:
    async with acting(pipeline) as rig:
        rig.workers.failures = 1
        await rig.decide(1, 3)
        await rig.wait_events((1, "failed"), (1, "applied"))
        assert rig.workers.asked == [(1, 3)] * 2


async def test_one_that_is_overtaken_while_it_is_carried_out_is_told_as_superseded(pipeline: Pipeline) -> None:
    async with acting(pipeline) as rig:
        rig.workers.go_on.clear()
        await rig.decide(1, 3)

        async def is_asked() -> bool:
            return bool(rig.workers.asked)

        await wait_until(is_asked, 60)
        await rig.decide(2, 3)  # wants the same: nothing is overtaken
        await rig.decide(3, 5)
        await rig.wait_events((1, "superseded"))
        rig.workers.go_on.set()
        await rig.wait_events((1, "superseded"), (3, "applied"))
        assert rig.workers.count == 5
