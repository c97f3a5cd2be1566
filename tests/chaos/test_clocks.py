"""A worker whose machine's clock is wrong, or is set while it works. Real brokers and workers, and a clock stepped for the
worker alone (libfaketime: https://github.com/wolfcw/libfaketime). What is not stepped is what the kernel never steps: the clocks
that run (`CLOCK_MONOTONIC`, `CLOCK_BOOTTIME`).
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import orjson
import pytest

from ops.load.traffic import Answer
from ops.processes.fleet import Fleet
from tests.support.fixtures import Measured
from tests.support.pipeline import Pipeline, request, send_steadily, wait_until
from tests.support.positions import end_offsets, read_all
from tests.support.stopwatch import Stopwatch
from topics.names import METRIC_SAMPLES

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]

HOUR_S = 3_600
LIBRARY = next(
    (
        path
        for folder in ("/usr/lib", "/usr/lib64", "/usr/local/lib")
        for path in sorted(Path(folder).glob("**/faketime/libfaketimeMT.so.1"))
    ),
    None,
)


class MachineClock:
    """The clock of a worker's machine, beside the true one by so many seconds."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "clock"
        self.set(0)

    def set(self, off_s: int) -> None:
        """Step it; a process notices within a second."""
        beside = self._file.with_suffix(".new")
        beside.write_text(f"{off_s:+d}\n")
        beside.replace(self._file)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


@pytest.fixture
def machine(tmp_path: Path) -> MachineClock:
    if LIBRARY is None:
        pytest.skip("libfaketime is missing (Debian: apt-get install faketime)")
    return MachineClock(tmp_path)


def fleet(pipeline: Pipeline, machine: MachineClock) -> Fleet:
    settings = pipeline.settings(metrics__interval="1s", metrics__aggregation="5s", metrics__grace="2s")
    return Fleet(settings, pipeline.directory, machine.environment)


@pytest.mark.parametrize(
    "off_s", [HOUR_S, -HOUR_S, -56 * 365 * 24 * HOUR_S], ids=["ahead", "behind", "never set: 1970"]
)
async def test_a_worker_that_starts_with_a_wrong_clock_answers_in_time_and_no_later(
    pipeline: Pipeline, machine: MachineClock, off_s: int
) -> None:
    machine.set(off_s)
    statuses: dict[str, str] = {}
    async with (
        fleet(pipeline, machine) as workers,
        pipeline.traffic(lambda answer: statuses.__setitem__(answer.request_id, answer.status)) as traffic,
    ):
        await traffic.send("normal", "waiting", request("waiting", timeout_s=60.0))  # it is read in the first moments
        await workers.start(1)
        for number in range(20):
            await traffic.send("normal", f"agent-{number}", request(f"good-{number}", timeout_s=30.0))
        await traffic.send("normal", "slow", request("slow", timeout_s=2.0, latency_ms=20_000))
        watch = Stopwatch()
        assert await traffic.wait_answered(18)
        took_s = watch.running_s
    assert {name for name, status in statuses.items() if status != "ok"} == {"slow"}
    assert statuses["slow"] == "expired"
    assert took_s < 15, "it waited for the provider, not for its own limit of 2 s"


async def test_a_clock_that_is_set_by_an_hour_under_load_expires_nothing_and_stops_no_sample(
    pipeline: Pipeline, machine: MachineClock, measured: Measured
) -> None:
    answers: list[Answer] = []

    async def samples() -> int:
        return sum((await end_offsets(pipeline.client_options, [METRIC_SAMPLES])).values())

    async def set_clock(off_s: int) -> None:
        """And wait for two samples: the first may have been under way."""
        machine.set(off_s)
        before = await samples()

        async def two_came() -> bool:
            return await samples() >= before + 2

        await wait_until(two_came, 60)

    async with fleet(pipeline, machine) as workers, pipeline.traffic(answers.append) as traffic:
        await workers.start(1)
        values = [request(f"load-{number}", timeout_s=20.0, latency_ms=300) for number in range(600)]
        load = asyncio.create_task(send_steadily(traffic, values, 50))
        for off_s in (HOUR_S, 0, -HOUR_S, 0):
            await asyncio.sleep(3)
            await set_clock(off_s)
        await load
        assert await traffic.wait_answered(30)
        summary = traffic.ledger.summary()
        await pipeline.wait_all_committed(60)
    sampled = [
        (record.timestamp / 1000, datetime.fromisoformat(orjson.loads(record.value)["at"]).timestamp())
        for record in await read_all(pipeline.client_options, [METRIC_SAMPLES])
    ]
    gaps = [after - before for (before, _), (after, _) in pairwise(sampled[1:])]  # the first one asks the time
    off = [abs(at - stamped) for stamped, at in sampled]
    measured(f"{summary}; {len(sampled)} samples, the longest gap {max(gaps):.1f} s, at most {max(off):.2f} s off")
    assert (summary.ok, summary.lost, summary.expired, summary.duplicates) == (600, 0, 0, 0)
    assert max(off) < 60, "an hour, where it took over the clock's step; else what a busy broker takes"
