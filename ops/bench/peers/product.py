"""The worker itself under the stop watch: the real command, with an eye on the record lists that it is given.

    python -m ops.bench.peers.product SETTINGS RECORDS [--gate]

It ends after RECORDS finished records (0: at SIGTERM). With `--gate` it takes no record before SIGUSR1: workers that start
together then begin together.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

import streams.worker as worker_module
from ops.bench.meter import Meter, say_result
from ops.cli.worker import worker
from streams.app import Accept, build_app
from streams.metrics import definitions as metrics
from streams.settings import Settings
from streams.transport.offsets import RecordList
from streams.transport.options import TransportOptions

_LOOK_EVERY_S = 0.002


class Probe:
    """Sees the record lists on their way into the pipeline, and when they are finished."""

    def __init__(self, records: int, *, gate: bool) -> None:
        self._records = records
        self._open = not gate
        self._behind_gate: list[RecordList] = []
        self._meter = Meter()
        self._handed = self._finished = 0
        self._finished_at: float | None = None
        self._figures: dict[str, Any] = {}

    def build_app(
        self, settings: Settings, producer: AIOKafkaProducer, accept: Accept, options: TransportOptions
    ) -> Any:
        """In place of the worker's own."""
        self._accept = accept
        self._app = build_app(settings, producer, self._take, options)
        self._watch = asyncio.get_running_loop().create_task(self._look())
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self._go)
        return self._app

    def _take(self, lists: Sequence[RecordList]) -> None:
        if not self._open:
            self._behind_gate += lists
            return
        self._meter.begin()
        self._handed += sum(records.unfinished for records in lists if not records.started)
        self._accept(lists)

    def _go(self) -> None:
        self._open = True
        held, self._behind_gate = self._behind_gate, []
        self._take(held)

    async def _look(self) -> None:
        while not self._records or self._finished < self._records:
            await asyncio.sleep(_LOOK_EVERY_S)
            finished = self._handed - self._app.consumer.unfinished if self._handed else 0
            if finished > self._finished:
                self._finished, self._finished_at = finished, time.time()
                if finished >= self._records:
                    self._figures = self._meter.figures(finished, self._finished_at)
        os.kill(os.getpid(), signal.SIGTERM)

    def say(self) -> None:
        """The figures, with where the answers came from."""
        figures = self._figures or self._meter.figures(self._finished, self._finished_at)
        found = {
            sample.labels["result"]: int(sample.value)
            for sample in next(iter(metrics.CACHE_REQUESTS.collect())).samples
            if sample.name.endswith("_total")
        }
        say_result({**figures, "cache": found})


def main() -> None:
    settings, records, *options = sys.argv[1:]
    probe = Probe(int(records), gate="--gate" in options)
    vars(worker_module)["build_app"] = probe.build_app
    worker(settings=Path(settings))
    probe.say()


if __name__ == "__main__":
    main()
