"""Time from request to answer under open-loop load: arrivals at fixed times, whatever becomes of the ones before.

Two clocks are told. `answer` is from the request's record to the response's, both by the broker's clock (whole ms), as the
contract counts. `reader` is from the moment at which the request was *due* until a consumer has its answer in hand: a load
generator that falls behind makes this worse, never better (no coordinated omission).
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import psutil
from aiokafka import AIOKafkaProducer

from ops.bench.figures import QUANTILES, Report, quantiles
from ops.bench.ground import LIMITS, UPSTREAM_MS, Ground
from ops.bench.machine import machine, versions
from ops.bench.work import REQUEST_TOPICS, Load
from ops.fleet import Fleet
from ops.records import from_the_end, open_reader, partitions_of
from topics.headers import REQUEST_ID
from topics.names import RESPONSES
from topics.partitioner import contract_partitioner

WARM_UP_S: Final = 5.0
_REST_WITHIN_S: Final = 20.0
_DISTINCT: Final = {"hits": 500, "misses": 1_000_000_000}


async def measure(ground: Ground, rates: Sequence[int], seconds: float) -> Report:
    """Each rate with hits, then each with misses; a worker of its own for both."""
    rows: list[list[str]] = []
    runs: list[dict[str, Any]] = []
    await ground.warm(Load(1))
    for kind, distinct in _DISTINCT.items():
        await ground.anew(REQUEST_TOPICS)
        await ground.fresh_answers()
        async with Fleet(ground.settings(ground.name(f"latency-{kind}")), ground.folder) as fleet:
            (worker,) = await fleet.start(1)
            process = psutil.Process(worker.pid)
            for rate in rates:
                run = ground.name(f"{kind}-{rate}")
                load = Load(round(rate * (seconds + WARM_UP_S)), distinct, value_bytes=459, run=run)
                figures = await OpenLoop(ground.servers, load, rate, process).run()
                runs.append({"kind": kind, "rate": rate, **figures})
                rows += (made := _rows(kind, rate, figures))
                for row in made:
                    ground.say(" ".join(f"{cell:>8}" for cell in row))
    values = {"runs": runs, "seconds": seconds, "upstream_ms": UPSTREAM_MS, "machine": machine()}
    return Report(
        "Latency in ms, open loop",
        ["", "rate/s", "until", *QUANTILES, "lost", "cores"],
        rows,
        {**values, "versions": versions(), "broker": ground.broker.kind},
        notes=[
            "cores: CPU of the worker; lost: not answered 20 s after the last request",
            f"misses are answered by an upstream of {UPSTREAM_MS} ms; {LIMITS}",
        ],
    )


def _rows(kind: str, rate: int, figures: dict[str, Any]) -> list[list[str]]:
    """One by each clock."""
    ends = [str(figures["unanswered"]), f"{figures['worker_cores']:.2f}"]
    return [
        [kind, str(rate), clock, *(f"{figures[f'{clock}_ms'][name]:.1f}" for name in QUANTILES), *ends]
        for clock in ("answer", "reader")
    ]


class OpenLoop:
    """One rate: sends and reads in this process, which does nothing else meanwhile."""

    def __init__(self, servers: str, load: Load, rate: int, worker: psutil.Process) -> None:
        self._servers = servers
        self._load = load
        self._rate = rate
        self._worker = worker
        self._written_ms = [0] * load.records
        self._answered_ms = [0] * load.records
        self._seen_at = [0.0] * load.records
        self._open = load.records
        self._all_seen = asyncio.Event()

    async def run(self) -> dict[str, Any]:
        options = {"bootstrap_servers": self._servers}
        producer = AIOKafkaProducer(**options, acks="all", linger_ms=0, partitioner=contract_partitioner)
        async with open_reader(options) as reader:
            await from_the_end(reader, await partitions_of(reader, [RESPONSES]))
            await producer.start()
            gc.collect()
            gc.freeze()  # a collection of ours must not count as theirs
            reading = asyncio.create_task(self._read(reader))
            try:
                began, cpu_s, lasted_s = await self._send(producer)
                async with asyncio.timeout(_REST_WITHIN_S):
                    await self._all_seen.wait()
            except TimeoutError:
                pass
            finally:
                reading.cancel()
                gc.unfreeze()
                await producer.stop()
        return self._figures(began, cpu_s / lasted_s)

    async def _send(self, producer: AIOKafkaProducer) -> tuple[float, float, float]:
        """When it began (Unix time); the worker's CPU and the time after the warm-up."""
        warm = self._warm
        requests = [self._load.request(number) for number in range(self._load.records)]
        began = time.time() + 0.1
        cpu_s = warm_at = 0.0
        for number, (topic, key, value) in enumerate(requests):
            wait_s = began + number / self._rate - time.time()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            if number == warm:
                cpu_s, warm_at = _cpu_s(self._worker), time.time()
            acked = await producer.send(topic, key=key, value=value)
            acked.add_done_callback(partial(self._note_written, number))
        return began, _cpu_s(self._worker) - cpu_s, time.time() - warm_at

    def _note_written(self, number: int, acked: asyncio.Future[Any]) -> None:
        if not acked.cancelled() and acked.exception() is None:
            self._written_ms[number] = acked.result().timestamp

    async def _read(self, reader: Any) -> None:
        prefix = f"{self._load.run}-".encode()
        while True:
            for records in (await reader.getmany(timeout_ms=200)).values():
                now = time.time()
                for record in records:
                    request_id = next((value for name, value in record.headers if name == REQUEST_ID), b"")
                    if request_id.startswith(prefix):
                        self._note_answer(int(request_id[len(prefix) :]), record.timestamp, now)

    def _note_answer(self, number: int, answered_ms: int, now: float) -> None:
        if not self._seen_at[number]:
            self._answered_ms[number], self._seen_at[number] = answered_ms, now
            self._open -= 1
            if not self._open:
                self._all_seen.set()

    @property
    def _warm(self) -> int:
        return round(WARM_UP_S * self._rate)

    def _figures(self, began: float, worker_cores: float) -> dict[str, Any]:
        seen = [number for number in range(self._warm, self._load.records) if self._seen_at[number]]
        return {
            "answer_ms": quantiles([float(self._answered_ms[n] - self._written_ms[n]) for n in seen]),
            "reader_ms": quantiles([(self._seen_at[n] - began - n / self._rate) * 1000 for n in seen]),
            "measured": len(seen),
            "unanswered": self._open,
            "worker_cores": round(worker_cores, 3),
        }


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
