"""Deciders on a real broker: the topic is the referee."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from aiokafka import AIOKafkaProducer

from schemas.scaling_decision import ScalingDecision
from streams.scaling.decide import decide
from streams.scaling.decider import Decider
from streams.scaling.policy import Policy
from streams.scaling.signals import in_order
from streams.scaling.tail import ScalingTail
from streams.settings import load_settings
from tests.support.pipeline import Pipeline
from tests.support.scaling import decisions, fleet_window
from topics.names import METRIC_WINDOWS, SCALING_DECISIONS

POLICY = Policy.of(load_settings(environ={}))


async def _nobody_says() -> int | None:
    return None


async def _write_windows(producer: AIOKafkaProducer, count: int, **figures: object) -> None:
    """A minute each, the last one now."""
    last_end_s = time.time() // 60 * 60
    for minute in range(count, 0, -1):
        end_s = last_end_s - 60 * (minute - 1)
        await producer.send_and_wait(METRIC_WINDOWS, fleet_window(end_s, 60.0, **figures), b"fleet")


def _decider(
    name: str,
    tail: ScalingTail,
    producer: AIOKafkaProducer,
    current: Callable[[], Awaitable[int | None]] = _nobody_says,
    owns: Callable[[], bool] = lambda: True,
) -> Decider:
    return Decider(tail, producer, POLICY, name, owns=owns, current=current, now=time.time)


async def test_of_two_that_believe_to_own_the_fleet_the_first_to_write_counts(pipeline: Pipeline) -> None:
    """The late one is stopped between its reading and its writing, the other decides meanwhile."""
    go_on, reached = asyncio.Event(), asyncio.Event()

    async def is_stopped_here() -> int | None:
        reached.set()
        await go_on.wait()
        return None

    async with (
        AIOKafkaProducer(**pipeline.client_options) as producer,
        ScalingTail(pipeline.client_options, windows_s=POLICY.reach_s) as tail,
        ScalingTail(pipeline.client_options, windows_s=POLICY.reach_s) as late_tail,
    ):
        await _write_windows(producer, 10, queued=5000.0, workers=2)
        late = asyncio.create_task(_decider("late", late_tail, producer, is_stopped_here).decide_once())
        await reached.wait()
        first = await _decider("other", tail, producer).decide_once()
        go_on.set()
        assert await late is None
        assert first is not None
        assert (first.action, first.workers_wanted, first.epoch) == ("scale_out", 3, 1)
        again = await _decider("other", tail, producer).decide_once()
        assert again is not None
        assert (again.action, again.blocked_by) == ("hold", ("cooldown", "pending", "ineffective"))
        assert again.epoch == 2
    assert [(each.epoch, each.decider_id) for each in await decisions(pipeline)] == [(1, "other"), (2, "other")]


async def test_who_lost_ownership_meanwhile_writes_nothing(pipeline: Pipeline) -> None:
    owned = [True]

    async def loses_it() -> int | None:
        owned[0] = False
        return None

    async with (
        AIOKafkaProducer(**pipeline.client_options) as producer,
        ScalingTail(pipeline.client_options, windows_s=POLICY.reach_s) as tail,
    ):
        assert await _decider("gone", tail, producer, loses_it, lambda: owned[0]).decide_once() is None
        assert tail.decisions.newest is None


async def test_a_record_holds_all_that_its_decision_was_made_from(pipeline: Pipeline) -> None:
    async with (
        AIOKafkaProducer(**pipeline.client_options) as producer,
        ScalingTail(pipeline.client_options, windows_s=POLICY.reach_s) as tail,
    ):
        await _write_windows(producer, 12, cpu=0.9, workers=2)
        made = await _decider("a", tail, producer).decide_once()
    assert made is not None
    (record,) = await decisions(pipeline)
    assert record.state is not None
    now = record.at.timestamp()
    again = decide(in_order(record.windows), record.state, Policy.from_numbers(record.policy), now)
    assert (again.desired, again.direction, again.reasons) == (3, "scale_out", ("cpu",))
    assert (again.state, record.observed["cpu"]) == (record.next_state, 0.9)


async def test_the_current_number_of_whoever_carries_out_is_where_a_decision_starts(pipeline: Pipeline) -> None:
    async def five() -> int | None:
        return 5

    async with (
        AIOKafkaProducer(**pipeline.client_options) as producer,
        ScalingTail(pipeline.client_options, windows_s=POLICY.reach_s) as tail,
    ):
        await _write_windows(producer, 10, queued=5000.0, workers=5)
        made = await _decider("a", tail, producer, five).decide_once()
    assert made is not None
    assert (made.workers_now, made.workers_wanted) == (5, 6)


async def test_what_is_no_decision_and_what_is_late_is_passed_over(pipeline: Pipeline) -> None:
    async with (
        AIOKafkaProducer(**pipeline.client_options) as producer,
        ScalingTail(pipeline.client_options) as tail,
    ):
        made = await _decider("a", tail, producer).decide_once()
        assert isinstance(made, ScalingDecision)
        for value in (b"no json", b"{}", made.model_copy(update={"decider_id": "late"}).to_json()):
            await producer.send_and_wait(SCALING_DECISIONS, value, b"workers")
        await tail.catch_up()
        assert tail.decisions.newest == made
