"""What the fleet says of itself: samples, windows, decisions and leases, as the newest records of their topics tell. Pure.

No figure is made here: windows are those that the control process has published, the present moment is a window of the newest
samples by the same function, and leases are in the grantor's own books.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from ops.admin.scaling_recent import Told, in_short
from schemas.lease import LeaseDemand, parse_lease
from schemas.metric_sample import BacklogSample, MetricSample, parse_metric_sample
from schemas.metric_window import MetricWindow
from schemas.scaling_decision import ScalingDecision
from schemas.scaling_event import ScalingEvent
from streams.limits.books.grantor import Grantor
from streams.metrics.period import Period
from streams.scaling.log import DecisionLog, read_decision
from streams.windows.merge import FLEET, fleet_window
from topics.names import TopicNames

MOST_WINDOWS: Final = 180
"""Three hours."""
MOST_DECISIONS: Final = 2_000
_MOST_WORKERS: Final = 1_000
_MOST_BACKLOG: Final = 30
_GONE_AFTER: Final = 3
"""Intervals without a sample, after which a worker is not shown."""


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A worker by its newest sample."""

    sample: MetricSample
    age_s: float


@dataclass(slots=True)
class FleetView:
    """The newest of everything. `interval_ms` is that of samples; `grantor` keeps books of leases and grants nothing."""

    names: TopicNames
    interval_ms: int
    grantor: Grantor
    windows: deque[MetricWindow] = field(default_factory=lambda: deque(maxlen=MOST_WINDOWS))
    """Of the fleet, ascending."""
    lease_heard: dict[tuple[str, str], LeaseDemand] = field(default_factory=dict)
    """By provider and model: the newest demand that says what the provider said."""
    version: int = 0
    _samples: dict[str, deque[MetricSample]] = field(default_factory=dict)
    _backlog: deque[BacklogSample] = field(default_factory=lambda: deque(maxlen=_MOST_BACKLOG))
    _log: DecisionLog = field(default_factory=DecisionLog)
    _decisions: deque[ScalingDecision] = field(default_factory=lambda: deque(maxlen=MOST_DECISIONS))
    _events: deque[ScalingEvent] = field(default_factory=lambda: deque(maxlen=MOST_DECISIONS))

    def note(self, topic: str, record: Any) -> None:
        """Take a record; one that is not what its topic holds is left out."""
        try:
            self._note(topic, record)
        except ValidationError:
            return
        self.version += 1

    def workers(self, now: float) -> list[WorkerSeen]:
        """Workers that sent a sample lately, by id."""
        seen = [WorkerSeen(each[-1], now - each[-1].at.timestamp()) for each in self._samples.values() if each]
        most_s = _GONE_AFTER * self.interval_ms / 1000
        return sorted((each for each in seen if each.age_s <= most_s), key=lambda each: each.sample.worker_id)

    def present(self, now: float) -> MetricWindow | None:
        """A window of the newest interval that has samples of workers; None where they are old."""
        newest = max((seen.sample.at for seen in self.workers(now)), default=None)
        if newest is None:
            return None
        period = Period(self.interval_ms, self.interval_ms)
        end_ms = period.end_of(round(newest.timestamp() * 1000))
        begin = end_ms - self.interval_ms
        samples = [
            each
            for held in self._samples.values()
            for each in held
            if begin < round(each.at.timestamp() * 1000) <= end_ms
        ]
        backlog = [each for each in self._backlog if begin < round(each.at.timestamp() * 1000) <= end_ms]
        return fleet_window(period, end_ms, samples, backlog)

    def backlog(self) -> BacklogSample | None:
        """What waited in Kafka, last time that somebody looked."""
        return self._backlog[-1] if self._backlog else None

    def decisions(self) -> list[Told]:
        """Decisions in force with what came of them, oldest first; those that say the same as one."""
        of_epoch: dict[int, list[ScalingEvent]] = {}
        for event in self._events:
            of_epoch.setdefault(event.epoch, []).append(event)
        return in_short([Told(each, of_epoch.get(each.epoch, ())) for each in self._decisions])

    def _note(self, topic: str, record: Any) -> None:
        names, value = self.names, record.value or b""
        if topic == names.metric_samples:
            sample = parse_metric_sample(value)
            if isinstance(sample, BacklogSample):
                self._backlog.append(sample)
            elif sample.worker_id in self._samples or len(self._samples) < _MOST_WORKERS:
                self._samples.setdefault(sample.worker_id, deque(maxlen=6)).append(sample)
                self._forget_workers(sample)
        elif topic == names.metric_windows:
            if record.key == FLEET.encode():
                window = MetricWindow.model_validate_json(value)
                if not self.windows or window.end > self.windows[-1].end:
                    self.windows.append(window)
        elif topic == names.scaling_decisions:
            decision = read_decision(record.value)
            if decision is not None and self._log.note(decision):
                self._decisions.append(decision)
        elif topic == names.scaling_events:
            self._events.append(ScalingEvent.model_validate_json(value))
        elif topic == names.leases:
            message = parse_lease(value)
            self.grantor.read(record.offset, record.timestamp / 1000, message)
            if isinstance(message, LeaseDemand) and message.provider_view is not None:
                self.lease_heard[message.provider, message.model] = message
                if len(self.lease_heard) > _MOST_WORKERS:
                    del self.lease_heard[next(iter(self.lease_heard))]

    def _forget_workers(self, newest: MetricSample) -> None:
        old = newest.at.timestamp() - 10 * self.interval_ms / 1000
        for worker_id in [each for each, held in self._samples.items() if held[-1].at.timestamp() < old]:
            del self._samples[worker_id]


def starts(names: TopicNames) -> Sequence[tuple[str, float | int]]:
    """The topics that a view is made of, each with where to begin: seconds back, or a number of records."""
    return (
        (names.metric_samples, 180.0),
        (names.metric_windows, MOST_WINDOWS * 60.0),
        (names.scaling_decisions, MOST_DECISIONS),
        (names.scaling_events, MOST_DECISIONS),
        (names.leases, 180.0),
    )
