"""Samples into windows, by the time that they tell: which window a sample is of, and when that is closed.

A window of a minute covers what happened after its start, up to and including its end; a sample belongs to the window in which
its interval ends. Time is what samples say (`at`), never a clock here: the newest one moves the watermark, which follows it at
the distance of the grace period, and a window that the watermark has reached is closed. So the same samples in the same order
make the same windows, whenever they are read. Nothing is kept but the samples of open windows: their records are not finished,
and come again after a restart.

Samples come at least once and not in order. One that was seen is counted once; one of a closed window comes too late and is
dropped; one that is further ahead of the broker's clock than the grace period comes from a wrong clock and is dropped, or it
would close the windows of all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from schemas.metric_sample import BacklogSample, MetricSample
from schemas.metric_window import MetricWindow
from streams.metrics.period import Period
from streams.windows.merge import fleet_window, worker_window

Receipt = TypeVar("Receipt")

MOST_SAMPLES = 20_000
"""Samples that a window takes; what is beyond is dropped. A fleet of 100 workers sends 600 a minute."""

Drop = Literal["duplicate", "late", "ahead", "surplus"]
"""Why a sample is not counted: it was seen; its window was closed; its clock is ahead; its window was full."""


@dataclass(frozen=True, slots=True)
class Closed(Generic[Receipt]):
    """Windows to publish, by scope, the fleet's last; then the records of the receipts are finished. Perhaps no window at all."""

    windows: Sequence[MetricWindow]
    receipts: Sequence[Receipt]


@dataclass(slots=True)
class _Open(Generic[Receipt]):
    """A window that takes samples."""

    samples: dict[tuple[str, int], MetricSample] = field(default_factory=dict)
    backlog: dict[int, BacklogSample] = field(default_factory=dict)
    receipts: list[Receipt] = field(default_factory=list)

    def put(self, sample: MetricSample | BacklogSample, at_ms: int) -> Drop | None:
        full = len(self.samples) + len(self.backlog) >= MOST_SAMPLES
        if isinstance(sample, BacklogSample):
            if at_ms in self.backlog or full:
                return "duplicate" if at_ms in self.backlog else "surplus"
            self.backlog[at_ms] = sample
            return None
        key = sample.worker_id, at_ms
        if key in self.samples or full:
            return "duplicate" if key in self.samples else "surplus"
        self.samples[key] = sample
        return None


class Windows(Generic[Receipt]):
    """The open windows. `grace_ms` is how long one waits for its samples."""

    def __init__(self, period: Period, grace_ms: int) -> None:
        self.dropped: dict[Drop, int] = {"duplicate": 0, "late": 0, "ahead": 0, "surplus": 0}
        """Samples that no window counts, since the start."""
        self._period = period
        self._grace_ms = grace_ms
        self._closed_until_ms = 0
        self._open: dict[int, _Open[Receipt]] = {}

    def add(
        self, sample: MetricSample | BacklogSample, receipt: Receipt, stamped_ms: int
    ) -> tuple[Closed[Receipt], ...]:
        """Take a sample, in the topic's order; what that closes. `stamped_ms` is the broker's time of its record."""
        at_ms = round(sample.at.timestamp() * 1000)
        end_ms = self._period.end_of(at_ms)
        if at_ms > stamped_ms + self._grace_ms:
            return self._drop("ahead", receipt)
        if end_ms <= self._closed_until_ms:
            return self._drop("late", receipt)
        window = self._open.setdefault(end_ms, _Open())
        dropped = window.put(sample, at_ms)
        if dropped is not None and len(window.receipts) >= MOST_SAMPLES:
            return self._drop(dropped, receipt)
        if dropped is not None:
            self.dropped[dropped] += 1
        window.receipts.append(receipt)
        return self._close(self._period.start_of(at_ms - self._grace_ms))

    def _drop(self, why: Drop, receipt: Receipt) -> tuple[Closed[Receipt], ...]:
        self.dropped[why] += 1
        return (Closed((), (receipt,)),)

    def _close(self, until_ms: int) -> tuple[Closed[Receipt], ...]:
        if until_ms <= self._closed_until_ms:
            return ()
        self._closed_until_ms = until_ms
        due = sorted(end_ms for end_ms in self._open if end_ms <= until_ms)
        return tuple(self._make(end_ms, self._open.pop(end_ms)) for end_ms in due)

    def _make(self, end_ms: int, window: _Open[Receipt]) -> Closed[Receipt]:
        by_worker: dict[str, list[MetricSample]] = {}
        for (worker_id, _), sample in sorted(window.samples.items()):
            by_worker.setdefault(worker_id, []).append(sample)
        backlog = [sample for _, sample in sorted(window.backlog.items())]
        made = [worker_window(self._period, end_ms, own) for own in by_worker.values()]
        everybody = [sample for own in by_worker.values() for sample in own]
        return Closed((*made, fleet_window(self._period, end_ms, everybody, backlog)), window.receipts)
