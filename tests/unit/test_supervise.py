"""Background loops: each is broken once, says so, is counted, and goes on."""

from __future__ import annotations

import ast
import asyncio
import gc
import inspect
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from streams import supervise
from streams.cache.build import _keep_up
from streams.cache.disk import DiskTable
from streams.flow.dispatch import Dispatch
from streams.governor.governor import Governor
from streams.metrics import definitions as metrics
from streams.providers.checks import CheckTimes, HealthChecks
from streams.providers.endpoint import Endpoint
from streams.settings import load_settings
from streams.supervise import Jobs, end, supervised
from tests.support.requests import pending, until
from tests.support.requests import rules as default_rules
from tests.unit.flow.test_dispatch import Answered, HandledProviders
from tests.unit.governor.test_governor import BUDGET, Rig

ROOT = Path(__file__).parents[2]


class Once:
    """Breaks the first call of what it stands for."""

    def __init__(self, real: Callable[..., Any]) -> None:
        self._real = real
        self.calls = 0

    def __call__(self, *given: Any, **named: Any) -> Any:
        self.calls += 1
        if self.calls == 1:
            raise RuntimeError("broken once")
        return self._real(*given, **named)


def faults(loop: str) -> float:
    return float(metrics.LOOP_FAULTS.labels(loop)._value.get())


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "FIRST_PAUSE_S", 0.001)


async def test_a_loop_that_fails_is_told_with_its_stack_counted_and_begun_again() -> None:
    runs, let_go = [], []

    async def work() -> None:
        runs.append(1)
        if len(runs) < 3:
            raise ValueError("no good")
        await asyncio.sleep(3600)

    before = faults("test")
    with capture_logs() as logs:
        task = supervised("test", work, lambda: let_go.append(len(runs)))
        await until(lambda: len(runs) == 3)
        await end([task])
    assert (faults("test") - before, let_go, task.cancelled()) == (2, [1, 2], True)
    assert [(each["log_level"], each["loop"], each["faults"]) for each in logs] == [
        ("error", "test", 1),
        ("error", "test", 2),
    ]
    assert all(each["exc_info"] for each in logs)


async def test_a_loop_that_returns_has_ended_and_one_that_cannot_let_go_goes_on_all_the_same() -> None:
    runs = []

    async def work() -> None:
        runs.append(1)
        if len(runs) == 1:
            raise ValueError("no good")

    def let_go() -> None:
        raise RuntimeError("not this either")

    await supervised("test", work, let_go)
    assert len(runs) == 2


@pytest.mark.parametrize(
    "stray",
    [
        # A future of a library's was cancelled, and the loop that awaited it ended as if it had been told to.
        pytest.param(asyncio.CancelledError(), id="aio-libs/aiokafka#983"),
        # An anyio scope of a session that was torn down cancelled the worker's task.
        pytest.param(asyncio.CancelledError("Cancelled by cancel scope"), id="lemma-work/lemma-platform#557"),
    ],
)
async def test_a_cancellation_that_nobody_asked_for_is_a_fault(stray: BaseException) -> None:
    runs, before = [], faults("test")

    async def work() -> None:
        runs.append(1)
        if len(runs) == 1:
            raise stray
        await asyncio.sleep(3600)

    task = supervised("test", work)
    await until(lambda: len(runs) == 2)
    await end([task])
    assert (faults("test") - before, task.cancelled()) == (1, True)


async def test_a_loop_that_only_the_event_loop_knows_is_not_collected() -> None:
    """python/cpython#91887: tasks are held weakly, and a cycle of a task and its future goes with the garbage."""
    runs = []

    async def work() -> None:
        runs.append(1)
        await asyncio.get_running_loop().create_future()

    supervised("test", work)
    Jobs("test").start(work())
    await until(lambda: len(runs) == 2)
    gc.collect()
    alive = [task for task in asyncio.all_tasks() if task.get_name() == "test"]
    assert len(alive) == 2
    await end(alive)


async def test_work_that_fails_is_told_counted_and_settled() -> None:
    jobs, settled, before = Jobs("test"), asyncio.Event(), faults("test")

    async def work() -> None:
        raise ValueError("no good")

    with capture_logs() as logs:
        jobs.start(work(), settled.set)
        await asyncio.wait_for(settled.wait(), 60)
    assert (faults("test") - before, logs[0]["log_level"], str(logs[0]["exc_info"])) == (1, "error", "no good")


async def test_work_that_is_ended_before_it_began_is_closed() -> None:
    jobs = Jobs("test")
    work = asyncio.sleep(0)
    jobs.start(work)
    await jobs.end()
    assert inspect.getcoroutinestate(work) == inspect.CORO_CLOSED


async def test_a_loop_that_requests_need_makes_the_process_unready_until_it_runs_again() -> None:
    """project-koku/koku#6278: the consumer's thread was dead, and the probe still said that all is well."""
    runs, unready = [], []

    async def work() -> None:
        runs.append(1)
        if len(runs) == 1:
            raise ValueError("no good")
        await asyncio.sleep(3600)

    task = supervised("flow", work, lambda: unready.append(supervise.ailing()))
    await until(lambda: len(runs) == 2 and not supervise.ailing())
    await end([task])
    assert unready == [["flow"]]


async def test_flow_goes_on_answering_requests_past_their_time() -> None:
    answered, before = Answered(), faults("flow")
    dispatch = Dispatch(default_rules(), HandledProviders(small=0), answered, time.time, time.monotonic)
    try:
        dispatch._scheduler.take_late = Once(dispatch._scheduler.take_late)  # type: ignore[method-assign]
        now = time.time()
        dispatch.accept([pending(dispatch_by=now + 0.2), pending(dispatch_by=now + 0.2)])
        await until(lambda: len(answered.outcomes) == 2)
    finally:
        await dispatch.stop()
    assert answered.statuses() == ["expired", "expired"]
    assert faults("flow") == before + 1


@pytest.mark.parametrize("breaks", ["route", "reserve"])
async def test_a_request_that_breaks_flow_is_answered_and_holds_up_nobody_behind_it(breaks: str) -> None:
    answered, providers = Answered(), HandledProviders()
    dispatch = Dispatch(default_rules(), providers, answered, time.time, time.monotonic)
    setattr(providers, breaks, Once(getattr(providers, breaks)))
    try:
        dispatch.accept([pending(dispatch_by=time.time() + 60), fine := pending(dispatch_by=time.time() + 60)])
        await providers.wait_started(1)
        assert providers.started == [fine]
        providers.end(fine)
        await answered.wait(2)
    finally:
        await dispatch.stop()
    assert answered.statuses() == ["error", "ok"]
    error = answered.outcomes[0][1].error
    assert error is not None
    assert error.type == "internal"


async def test_a_governor_that_fails_lets_go_of_what_it_holds_and_goes_on() -> None:
    rig = Rig(load_settings(environ={}))
    rig.look(910_000_000)
    assert rig.partitions.held
    settings = load_settings(environ={"HEADRACE_MEMORY__CHECK_INTERVAL": "10ms"})
    rss = Once(lambda: 910_000_000)
    governor = Governor(BUDGET, settings, rig.tier, rig.partitions, rss=rss, clock=time.monotonic)
    before = faults("governor")
    governor.start()
    try:
        await until(lambda: faults("governor") > before)
        assert not rig.partitions.held
        await until(lambda: rig.partitions.held)  # it reads memory again
    finally:
        await governor.stop()
    assert rss.calls >= 2


async def test_health_checks_go_on() -> None:
    class Checked:
        """An endpoint as the loop of its checks sees it."""

        def __init__(self) -> None:
            self.changed = asyncio.Event()
            self.health = self
            self.check = Once(self._check)

        def next_check_s(self, interval_s: float, now: float) -> float:
            return 0.01

        async def _check(self, timeout_s: float) -> None: ...

    endpoint, before = Checked(), faults("checks")
    checks = HealthChecks(CheckTimes(0.01, 0.01), lambda: 0.0)
    checks.follow([cast("Endpoint", endpoint)])
    await until(lambda: endpoint.check.calls >= 3)
    await checks.stop()
    assert faults("checks") == before + 1


async def test_the_upkeep_of_the_cache_goes_on() -> None:
    class Table:
        """A store as its upkeep sees it."""

        def __init__(self) -> None:
            self.stats = Once(self._stats)

        async def _stats(self) -> Any:
            await asyncio.sleep(3600)

    table, before = Table(), faults("cache_upkeep")
    task = supervised("cache_upkeep", lambda: _keep_up(cast("DiskTable", table), 3600.0))
    await until(lambda: table.stats.calls == 2)
    await end([task])
    assert faults("cache_upkeep") == before + 1


ALONE = {
    # streams/supervise.py itself, and what is awaited by whoever makes it, or whose end is seen there
    "ops/processes/control.py": "start, readiness and end are awaited",
    "ops/processes/front.py": "start and end are awaited",
    "ops/processes/service.py": "whichever comes first is awaited",
    "ops/processes/supervisor/supervise.py": "what ends the supervisor is awaited",
    "ops/processes/ui.py": "what nobody has caught is awaited",
    "ops/processes/worker.py": "start, readiness, end and drain are awaited",
    "streams/app.py": "the start is awaited against the group's refusal",
    "streams/control.py": "a loop's fault ends the process: awaited by wait_stopped",
    "streams/flow/calls.py": "a task for each call: its body answers whatever happens, and its end is seen",
    "streams/scaling/actuator.py": "awaited against a newer decision",
    "streams/supervise.py": "the owner of all others",
    "streams/transport/consumer.py": "what ends the group's watch crashes the app, and the process with it",
    "streams/kafka/fetcher.py": "a loop for each broker, watched by the supervised one",
}
THREADS = {
    "ops/processes/child.py": "ends with the child process whose output it reads",
    "streams/cache/disk.py": "an executor: who asks awaits the answer",
    "streams/governor/stall.py": "watches the event loop, and goes on after a fault",
}
OUTSIDE = (
    "ops/bench/",
    "ops/simulation/",
    "ops/load/",
    "ops/provider_sim/",
    "ops/demo/",
    "ops/dev/",
    "ops/cli/",
    "ops/brokers/",
    "ops/lab/",
)


def _callers_of(*names: str) -> set[str]:
    found = set()
    for folder in ("streams", "ops"):
        for path in (ROOT / folder).rglob("*.py"):
            name = path.relative_to(ROOT).as_posix()
            calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
            called = {getattr(call.func, "attr", getattr(call.func, "id", "")) for call in calls}
            if called & set(names) and not name.startswith(OUTSIDE):
                found.add(name)
    return found


def test_tasks_are_made_by_the_supervisor_or_where_their_end_is_seen() -> None:
    assert _callers_of("create_task", "ensure_future", "TaskGroup", "run_coroutine_threadsafe") == set(ALONE)


def test_threads_are_made_only_where_their_end_is_seen() -> None:
    assert _callers_of("Thread", "ThreadPoolExecutor", "Timer", "start_new_thread") == set(THREADS)


def test_every_loop_is_counted_from_the_start() -> None:
    named = set()
    for folder in ("streams", "ops"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                called = getattr(node.func, "id", getattr(node.func, "attr", "")) if isinstance(node, ast.Call) else ""
                if called in ("supervised", "keep", "Jobs", "Loops", "fault", "_note"):
                    assert isinstance(node, ast.Call)
                    if isinstance(first := node.args[0], ast.Constant):
                        named.add(first.value)
    assert named == set(metrics.LOOPS)
