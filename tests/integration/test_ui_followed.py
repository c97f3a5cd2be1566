"""A control room that reads a fleet of 1,000 requests a second along takes under 0.15 of a core."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import psutil
import pytest
from aiokafka import AIOKafkaProducer

from ops.admin.records import open_writer
from ops.bench.index_records import Made, Records
from ops.processes.fleet import WorkerProcess
from tests.support.control_room import page
from tests.support.fixtures import Measured
from tests.support.pipeline import Pipeline, wait_until

RATE: Final = 1_000
SECONDS: Final = 15
STEP_S: Final = 0.1
MOST_CORES: Final = 0.15


def cpu_s(pid: int) -> float:
    return sum(psutil.Process(pid).cpu_times()[:2])


async def write(producer: AIOKafkaProducer, made: list[Made]) -> None:
    for topic, partition, record in made:
        await producer.send(
            topic, record.value, record.key, partition, timestamp_ms=record.timestamp, headers=record.headers
        )


@pytest.mark.alone
async def test_a_thousand_requests_a_second_take_a_seventh_of_a_core(
    pipeline: Pipeline, tmp_path: Path, measured: Measured
) -> None:
    records = Records(int(time.time() * 1000), 1000 / RATE, pipeline.names)
    settings = pipeline.settings(ui__listen="127.0.0.1:0", ui__path=str(tmp_path / "ui"))
    async with AsyncExitStack() as stack:
        producer = await stack.enter_async_context(open_writer(pipeline.client_options))
        room = WorkerProcess("ui", settings, tmp_path / "ui.log", command="ui")
        stack.push_async_callback(room.stop, 10)
        await room.wait_ready(60)
        began, before = time.monotonic(), cpu_s(room.pid)
        step = round(RATE * STEP_S)
        for number in range(round(SECONDS / STEP_S)):
            asked, answered = records.make(number * step, (number + 1) * step)
            await write(producer, asked)
            await write(producer, answered)
            await asyncio.sleep(began + (number + 1) * STEP_S - time.monotonic())
        took = time.monotonic() - began

        async def is_known() -> bool:
            return (await page(f"{room.ready_line['listen']}/find?id={records.newest_id}"))[0] == 200

        await wait_until(is_known, 60)
        cores = (cpu_s(room.pid) - before) / took
    measured(f"{RATE * SECONDS:,} requests and their answers in {took:.1f} s: {cores:.3f} of a core")
    assert took < 1.1 * SECONDS, "the writer kept its pace"
    assert cores < MOST_CORES
