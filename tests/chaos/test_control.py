"""Control processes that are killed and stopped: one decides, the other takes over, and who wakes up late changes nothing."""

import asyncio
import signal
import time
import urllib.request
from itertools import pairwise

import orjson
import pytest

from ops.processes.fleet import WorkerProcess
from tests.support.fixtures import FULL, Measured
from tests.support.pipeline import Pipeline, wait_until
from tests.support.scaling import QUICK, Windows, control_process, decisions, dotted, wait_decision
from tests.support.stopwatch import Stopwatch

pytestmark = [pytest.mark.chaos, pytest.mark.long]

COOLDOWN_S = 10.0 if FULL else 8.0


def _get(control: WorkerProcess, path: str) -> bytes:
    with urllib.request.urlopen(f"http://{control.http}{path}", timeout=5) as response:
        found: bytes = response.read()
        return found


async def _leads(control: WorkerProcess) -> bool:
    """Whether its metrics say that it decides."""
    exposed: bytes = await asyncio.to_thread(_get, control, "/metrics")
    return b"\nheadrace_scaling_leader 1.0\n" in exposed


async def _desired(control: WorkerProcess) -> int:
    """What it answers KEDA, once it has read the decision that its test has."""
    found = 0

    async def is_two() -> bool:
        nonlocal found
        found = int(orjson.loads(await asyncio.to_thread(_get, control, "/scaling/desired"))["desired"])
        return found == 2

    await wait_until(is_two, 60)
    return found


async def test_a_killed_control_is_followed_within_ten_seconds_by_one_that_keeps_the_cooldown(
    pipeline: Pipeline, measured: Measured
) -> None:
    settings = pipeline.settings(
        **dotted(
            QUICK
            | {"scaling.cooldown": f"{COOLDOWN_S:g}s", "scaling.realizer": "process", "kafka.session_timeout": "6s"}
        )
    )
    windows, watch = Windows(), Stopwatch()
    first, second = (control_process(pipeline, settings, name) for name in ("first", "second"))
    async with windows.written(pipeline):
        try:
            await asyncio.gather(first.wait_ready(), second.wait_ready())
            windows.figures = {"queued": 500.0, "throughput_per_s": 50.0}
            grown = await wait_decision(pipeline, lambda each: each.action == "scale_out", 60)
            owner, other = (first, second) if str(first.pid) in grown.decider_id else (second, first)
            assert {await _desired(each) for each in (first, second)} == {2}  # KEDA may ask either
            assert (await _leads(owner), await _leads(other)) == (True, False)
            windows.figures = {"queued": 500.0, "throughput_per_s": 90.0, "workers": 2}
            owner.kill()
            killed_at = time.time()
            taken = await wait_decision(pipeline, lambda each: str(other.pid) in each.decider_id, 60)
            took_s = taken.at.timestamp() - killed_at
            assert await _leads(other)
            again = await wait_decision(pipeline, lambda each: each.workers_wanted == 3, 60)
        finally:
            first.kill()
            second.kill()
    still_s = watch.still_s
    rest_s = again.at.timestamp() - grown.at.timestamp()
    measured(
        f"decisions went on {took_s:.1f} s after the kill; two steps out are {rest_s:.1f} s apart (cooldown {COOLDOWN_S:g} s)"
    )

    assert took_s < 10 + still_s
    assert COOLDOWN_S <= rest_s < COOLDOWN_S + 5 + still_s
    assert (taken.workers_wanted, taken.blocked_by) == (2, ("cooldown",))
    assert [each.epoch for each in await decisions(pipeline)] == sorted(
        {each.epoch for each in await decisions(pipeline)}
    )


@pytest.mark.skipif(not FULL, reason="tests/integration/test_decider.py has its decisive moment; TEST_FULL=1 runs it")
async def test_a_control_that_wakes_up_late_changes_nothing(pipeline: Pipeline, measured: Measured) -> None:
    """It is stopped while it wants more workers; the other one sees an idle fleet; then it goes on where it was."""
    settings = pipeline.settings(
        **dotted(QUICK | {"scaling.cooldown": "1s", "scaling.realizer": "process", "kafka.session_timeout": "6s"})
    )
    windows = Windows()
    first, second = (control_process(pipeline, settings, name) for name in ("first", "second"))
    async with windows.written(pipeline):
        try:
            await asyncio.gather(first.wait_ready(), second.wait_ready())
            windows.figures = {"queued": 500.0, "throughput_per_s": 50.0}
            grown = await wait_decision(pipeline, lambda each: each.workers_wanted >= 2, 60)
            late, other = (first, second) if str(first.pid) in grown.decider_id else (second, first)
            late.signal(signal.SIGSTOP)
            windows.figures = {"workers": grown.workers_wanted}
            shrunk = await wait_decision(
                pipeline, lambda each: each.action == "scale_in" and str(other.pid) in each.decider_id, 30
            )
            late.signal(signal.SIGCONT)
            await asyncio.sleep(4)  # whatever it had in mind is written by then
        finally:
            first.kill()
            second.kill()
    after = [each for each in await decisions(pipeline) if each.epoch >= shrunk.epoch]
    measured(f"{len(after)} decisions after it woke up, by {len({each.decider_id for each in after})} decider(s)")
    assert all(later.at >= earlier.at for earlier, later in pairwise(after))
    assert {each.action for each in after[1:]} <= {"hold", "scale_in"}
    assert after[-1].workers_wanted == 1
