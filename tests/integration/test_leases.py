"""Leases over a real broker: the limit holds for all workers together, and nearly all of it is used."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from ops.brokers import Broker
from ops.processes.service import CannotStartError, check_start
from ops.processes.worker import needed_topics
from streams.kafka import provision
from streams.limits import UNLIMITED, Route
from streams.limits.build import leases_needed
from streams.limits.worker.shared_budget import SharedBudget
from streams.settings.model import Settings
from tests.integration.lease_fleet import Judge, SyntheticWorker, sizes
from tests.support.fixtures import FULL, Measured
from tests.support.pipeline import delete_topics, fresh_topics, wait_until
from tests.support.stopwatch import Stopwatch
from topics import catalogue
from topics.names import LEASES

WINDOW_S = 6.0
TOKENS = 9_000
"""90,000 a minute, counted in a tenth of it; calls are a tenth as large as in the trace."""


def settings_of(kafka: Broker, group_id: str, **rate_limit: Any) -> Settings:
    return Settings.model_validate(
        {
            "kafka": {"bootstrap_servers": kafka.bootstrap_servers, "group_id": group_id},
            "limits": {"window": f"{WINDOW_S:g}s", "margin": "100ms", "session_timeout": "3s"},
            "providers": [
                {
                    "name": "main",
                    "models": ["small"],
                    "rate_limit": rate_limit,
                    "endpoints": [{"url": "http://127.0.0.1:9/v1"}],
                }
            ],
        }
    )


@pytest.fixture
async def settings(kafka: Broker, unique: Callable[[str], str]) -> Settings:
    await fresh_topics({"bootstrap_servers": kafka.bootstrap_servers})
    return settings_of(kafka, unique("leases"))


LOADS = {"even": (60.0, 60.0, 60.0), "all on one": (180.0, 0.0, 0.0)}


@pytest.mark.parametrize("loads", LOADS.values() if FULL else [LOADS["all on one"]])
async def test_ten_times_the_load_uses_the_limit_and_never_more(
    settings: Settings, loads: tuple[float, ...], measured: Measured
) -> None:
    judge = Judge(350, TOKENS, WINDOW_S)
    async with AsyncExitStack() as stack:
        for number, per_s in enumerate(loads):
            await stack.enter_async_context(SyntheticWorker(settings, judge, per_s, sizes(0.1, number)))
        await wait_until(_calls_were_made(judge), 60)
        await asyncio.sleep(WINDOW_S)
        since, watch = time.monotonic(), Stopwatch()
        await asyncio.sleep(WINDOW_S)
        used = judge.used_since(since) / TOKENS / (watch.running_s / watch.passed_s)
    measured(f"{used:.1%} of the limit used after the first window, {judge.refused} refused")
    assert judge.refused == 0
    # Clocks, messages and grants take the same time as with a window that is ten times as long, and on a busy machine more.
    assert used >= (0.85 if FULL else 0.6)


async def test_a_worker_alone_makes_its_first_call_within_a_second(settings: Settings, measured: Measured) -> None:
    judge = Judge(350, TOKENS, WINDOW_S)
    async with SyntheticWorker(settings, judge, 10.0, sizes(0.1)):
        await wait_until(_calls_were_made(judge), 60)  # the group's coordinator is there from now on
    async with SyntheticWorker(settings, judge, 10.0, sizes(0.1)) as worker:

        async def has_called() -> bool:
            return worker.first_call_s is not None

        await wait_until(has_called, 60)
    assert worker.first_call_s is not None
    measured(f"first call {worker.first_call_s * 1000:.0f} ms after the start")
    assert worker.first_call_s < (1.0 if FULL else 10.0)  # most of it is the group's, which a busy machine slows


async def test_what_a_leaving_worker_had_left_is_there_for_the_others_at_once(settings: Settings) -> None:
    judge = Judge(350, TOKENS, WINDOW_S)
    async with SyntheticWorker(settings, judge, 0.0, sizes(0.1)) as stays:
        async with SyntheticWorker(settings, judge, 0.0, sizes(0.1)) as leaves:

            async def both_hold_something() -> bool:
                return min(_left_of(stays), _left_of(leaves)) > 0

            await wait_until(both_hold_something, 60)
            name = leaves.budgets.of("main").worker_id  # type: ignore[attr-defined]
        watch = Stopwatch()
        books = stays.budgets.of("main").grantor.ledger(Route("main", "small"))  # type: ignore[attr-defined]

        async def nothing_is_held_for_it() -> bool:
            return name not in books.accounts or books.accounts[name].left.tokens == 0

        await wait_until(nothing_is_held_for_it, 60)
    assert watch.running_s < WINDOW_S - 0.5  # not after its lease and a window


def _left_of(worker: SyntheticWorker) -> float:
    shared = worker.budgets.of("main")
    assert isinstance(shared, SharedBudget)
    return float(sum(share.allowance.left.tokens for share in shared._shares.values()))


async def check_start_of(settings: Settings) -> None:
    await check_start(settings, needed_topics(settings))


def _start_says(wanted: str, settings: Settings) -> Callable[[], Awaitable[bool]]:
    """Whether the start is refused with these words, or not at all where there are none."""

    async def says() -> bool:
        try:
            await check_start_of(settings)
        except CannotStartError as error:
            return bool(wanted) and wanted in str(error)
        return not wanted

    return says


def _calls_were_made(judge: Judge) -> Any:
    async def made() -> bool:
        return bool(judge.used)

    return made


async def test_providers_without_limits_need_no_topic(kafka: Broker, unique: Callable[[str], str]) -> None:
    free = settings_of(kafka, unique("leases"), requests="unlimited", tokens="unlimited")
    assert not leases_needed(free)
    options = {"bootstrap_servers": kafka.bootstrap_servers}
    await fresh_topics(options)
    await delete_topics(options, [LEASES])
    await check_start_of(free)
    worker = SyntheticWorker(free, Judge(1, 1, 1.0), 0.0, sizes(1.0))
    async with worker:
        assert worker.budgets.of("main") is UNLIMITED
    with pytest.raises(CannotStartError, match=r"limits\.leases: missing"):
        await check_start_of(settings_of(kafka, unique("leases")))


async def test_a_topic_without_the_brokers_time_is_refused_at_start(settings: Settings) -> None:
    options = settings.kafka.client_options()
    await delete_topics(options, [LEASES])
    admin = AIOKafkaAdminClient(**options)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(LEASES, 1, 1)])
    finally:
        await admin.close()
    await wait_until(_start_says("message.timestamp.type", settings), 60)  # the broker may not name a new topic at once
    wanted = [spec for spec in catalogue() if spec.name == LEASES]
    await provision.apply(options, wanted, alter_configs=True)
    await wait_until(_start_says("", settings), 60)
