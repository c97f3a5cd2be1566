"""Pieces of work that break once: nothing of theirs is left without an end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from streams import supervise
from streams.delivery import outbox as outbox_module
from streams.delivery.outbox import Outbox
from streams.flow.dispatch import Dispatch
from streams.kafka.cluster import Cluster
from tests.support.requests import SampleSource, pending, until
from tests.support.requests import rules as default_rules
from tests.unit.cache.requests import pending as cache_pending
from tests.unit.cache.test_stage import Bench
from tests.unit.delivery.test_outbox import Brokers, post
from tests.unit.flow.test_dispatch import Answered, HandledProviders
from tests.unit.intake.test_intake import LOOKED_UP, Ends, ReplyTopics, intake, record_list, sample
from tests.unit.test_supervise import Once, faults


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(outbox_module, "_FIRST_RETRY_S", 0.001)


async def test_a_call_that_is_cancelled_by_nobody_of_ours_is_answered() -> None:
    """aio-libs/aiokafka#983: a library's cancellation was taken for the end of the work."""
    answered, providers, before = Answered(), HandledProviders(), faults("calls")
    dispatch = Dispatch(default_rules(), providers, answered, time.time, time.monotonic)
    try:
        dispatch.accept([stray := pending(dispatch_by=time.time() + 60)])
        await providers.wait_started(1)
        providers.under_way[stray].cancel()
        await answered.wait(1)
    finally:
        await dispatch.stop()
    assert (answered.statuses(), faults("calls")) == (["error"], before + 1)


async def test_a_queue_that_breaks_in_a_callback_is_looked_at_again() -> None:
    answered, providers, before = Answered(), HandledProviders(), faults("flow")
    dispatch = Dispatch(default_rules(), providers, answered, time.time, time.monotonic)
    try:
        dispatch._coalescer.lingered = Once(dispatch._coalescer.lingered)  # type: ignore[method-assign]
        dispatch._wake.after(0.0)
        await until(lambda: faults("flow") == before + 1)
        dispatch.accept([pending(dispatch_by=time.time() + 60)])
        await providers.wait_started(1)
    finally:
        await dispatch.stop()


def break_leader(outbox: Outbox, brokers: Brokers) -> None:
    brokers.leader_for_partition = Once(brokers.leader_for_partition)  # type: ignore[method-assign]


def break_failure(outbox: Outbox, brokers: Brokers) -> None:
    brokers.fates.append(6)
    brokers.force_metadata_update = Once(brokers.force_metadata_update)  # type: ignore[method-assign]


def break_look_up(outbox: Outbox, brokers: Brokers) -> None:
    brokers.leader_for_partition = Leaderless(brokers.leader_for_partition)  # type: ignore[method-assign, assignment]
    brokers.add_topic = Once(brokers.add_topic)  # type: ignore[method-assign]


class Leaderless:
    """Nobody leads at the first look."""

    def __init__(self, real: Callable[..., Any]) -> None:
        self._real, self._asked = real, False

    def __call__(self, *given: Any) -> Any:
        if not self._asked:
            self._asked = True
            return None
        return self._real(*given)


@pytest.mark.parametrize("break_it", [break_leader, break_failure, break_look_up])
async def test_an_outbox_that_breaks_sends_what_it_had_and_what_comes_later(
    break_it: Callable[[Outbox, Brokers], None],
) -> None:
    brokers, source, before = Brokers(), SampleSource(), faults("outbox")
    outbox = Outbox(Cluster(brokers), 100_000, timeout_s=1)
    break_it(outbox, brokers)
    for number in range(8):
        post(outbox, number % 4, number, source)
        await asyncio.sleep(0)
    await until(lambda: len(source.finished) == 8)
    post(outbox, 0, 8, source)
    await until(lambda: len(source.finished) == 9)
    await outbox.stop()
    assert faults("outbox") == before + 1


@pytest.mark.parametrize("error", [RuntimeError("broken once"), asyncio.CancelledError()])
async def test_a_cache_whose_disk_look_up_breaks_asks_the_provider(error: BaseException) -> None:
    bench = Bench()

    async def find(*_: Any) -> Any:
        raise error

    bench.store.find = find  # type: ignore[method-assign, assignment]
    bench.stage.accept([cache_pending("first")])
    await until(lambda: len(bench.calls.requests) == 1)


async def test_a_cache_that_breaks_answers_what_it_was_looking_up_and_goes_on() -> None:
    bench, before = Bench(), faults("cache_lookups")
    bench.stage._look_up = Once(bench.stage._look_up)  # type: ignore[method-assign]
    bench.stage.accept([cache_pending("broken")])
    await until(lambda: bool(bench.ends.of("broken")))
    bench.stage.accept([cache_pending("next")])
    await until(lambda: len(bench.calls.requests) == 1)
    (outcome,) = bench.ends.of("broken")
    assert outcome.error is not None
    assert (outcome.error.type, faults("cache_lookups")) == ("internal", before + 1)


async def test_a_reply_topic_look_up_that_breaks_ends_in_an_answer() -> None:
    ends, reply_topics, before = Ends(), ReplyTopics(), faults("reply_lookups")
    ends.accept = Once(ends.accept)  # type: ignore[method-assign]
    reply_topics.answer.set()
    intake(ends, reply_topics).accept([record_list([sample(reply_to=LOOKED_UP)])])
    await until(lambda: len(ends.responses) == 1)
    assert ends.responses[0][1].error is not None
    assert faults("reply_lookups") == before + 1
