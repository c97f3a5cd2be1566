"""Background loops: each is broken once, says so, is counted, and goes on."""

from __future__ import annotations

import ast
import asyncio
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
from streams.supervise import end, supervised
from tests.unit.flow.samples import pending, until
from tests.unit.flow.samples import rules as default_rules
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


async def test_a_request_that_breaks_flow_is_answered_and_those_beside_it_go_on() -> None:
    answered, providers = Answered(), HandledProviders()
    dispatch = Dispatch(default_rules(), providers, answered, time.time, time.monotonic)
    providers.route = Once(providers.route)  # type: ignore[method-assign]
    try:
        dispatch.accept([pending(dispatch_by=time.time() + 60), fine := pending(dispatch_by=time.time() + 60)])
        await providers.wait_started(1)
        assert providers.started == [fine]
        providers.end(fine)
        await answered.wait(2)
    finally:
        await dispatch.stop()
    error = answered.outcomes[0][1].error
    assert error is not None
    assert error.type == "internal"


async def test_a_reservation_that_breaks_is_answered_and_holds_up_nobody_behind_it() -> None:
    answered, providers = Answered(), HandledProviders()
    dispatch = Dispatch(default_rules(), providers, answered, time.time, time.monotonic)
    providers.reserve = Once(providers.reserve)  # type: ignore[method-assign]
    try:
        dispatch.accept([pending(dispatch_by=time.time() + 60), fine := pending(dispatch_by=time.time() + 60)])
        await providers.wait_started(1)
        assert providers.started == [fine]
        providers.end(fine)
        await answered.wait(2)
    finally:
        await dispatch.stop()
    assert answered.statuses() == ["error", "ok"]


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
    checks = HealthChecks([cast("Endpoint", endpoint)], CheckTimes(0.01, 0.01), lambda: 0.0)
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
    # what is awaited by whoever makes it, or ends with one piece of work whose end is seen
    "ops/processes/control.py", "ops/processes/service.py",
    "ops/processes/supervisor/keeper.py", "ops/processes/supervisor/supervise.py",
    "ops/processes/worker.py", "streams/cache/publisher.py", "streams/cache/stage.py", "streams/control.py",
    "streams/delivery/outbox.py", "streams/delivery/reply_topics.py", "streams/flow/dispatch.py",
    "streams/intake/intake.py", "streams/limits/topic.py", "streams/scaling/actuator.py", "streams/scaling/tail.py",
    "streams/supervise.py", "streams/transport/consumer.py", "streams/transport/fetcher.py",
}  # fmt: skip
OUTSIDE = ("ops/bench/", "ops/simulation/", "ops/load/", "ops/provider_sim/", "ops/demo/", "ops/cli/", "ops/brokers/")


def test_tasks_are_made_by_the_supervisor_or_where_their_end_is_seen() -> None:
    made = set()
    for folder in ("streams", "ops"):
        for path in (ROOT / folder).rglob("*.py"):
            name = path.relative_to(ROOT).as_posix()
            calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
            names = {getattr(call.func, "attr", getattr(call.func, "id", "")) for call in calls}
            if names & {"create_task", "ensure_future"} and not name.startswith(OUTSIDE):
                made.add(name)
    assert made <= ALONE, f"run these loops by streams.supervise: {sorted(made - ALONE)}"


def test_every_loop_is_counted_from_the_start() -> None:
    named = set()
    for path in (ROOT / "streams").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "supervised":
                named.add(ast.literal_eval(node.args[0]))
    assert named == set(metrics.LOOPS)
