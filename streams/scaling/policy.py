"""The policy: every threshold, duration and limit that a decision is held to, in base units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Self

from streams.settings import Settings
from streams.settings.scaling import CALM

_A_TENTH: Final = 0.1
"""Waiting comes and goes within minutes, unlike CPU: what is left of it before the fleet shrinks must be little."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Shares are 0 to 1, times seconds. The defaults of the settings are the specification's."""

    window_s: float
    smallest: int
    largest: int
    """At most as many as there are partitions: more would have nothing to do."""
    out_step: int
    out_cooldown_s: float
    in_step: int
    in_cooldown_s: float
    cpu: float
    cpu_for_s: float
    memory: float
    memory_for_s: float
    queue: float
    wait_s: float
    expired: float
    expired_least: int
    low_for_s: float
    low_cpu: float
    """Of the smaller fleet."""
    low_memory: float
    low_queue: float
    low_wait_s: float
    low_expired: float
    remember_s: float
    calm: float
    effect: float
    retry_s: float
    missing_windows: int
    stale_after_s: float

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The policy that the settings ask for."""
        scaling, window_s = settings.scaling, settings.metrics.aggregation
        triggers, limits, out, low = scaling.triggers, scaling.limits, scaling.scale_out, scaling.scale_in
        queue = triggers.queue
        return cls(
            window_s=window_s,
            smallest=limits.min,
            largest=min(limits.max, settings.topics.partitions),
            out_step=_either(out.step, limits.increment),
            out_cooldown_s=_either(out.cooldown, scaling.cooldown),
            in_step=_either(low.step, limits.increment),
            in_cooldown_s=_either(low.cooldown, scaling.cooldown),
            cpu=triggers.cpu.threshold,
            cpu_for_s=triggers.cpu.duration,
            memory=triggers.memory.threshold,
            memory_for_s=triggers.memory.duration,
            queue=queue.length,
            wait_s=queue.wait_time,
            expired=queue.expired_share,
            expired_least=queue.expired_least,
            low_for_s=low.duration,
            low_cpu=_either(low.cpu, triggers.cpu.threshold * CALM),
            low_memory=_either(low.memory, triggers.memory.threshold * CALM),
            low_queue=_either(low.queue, queue.length * _A_TENTH),
            low_wait_s=_either(low.wait, queue.wait_time * _A_TENTH),
            low_expired=_either(low.expired, queue.expired_share * _A_TENTH),
            remember_s=low.remember,
            calm=CALM,
            effect=out.effect,
            retry_s=out.retry,
            missing_windows=scaling.missing_windows,
            stale_after_s=scaling.stale_after,
        )

    def as_numbers(self) -> dict[str, float]:
        """For a record."""
        return {name: float(value) for name, value in asdict(self).items()}

    @classmethod
    def from_numbers(cls, numbers: Mapping[str, float]) -> Self:
        """The policy of a record. Raises KeyError for a record that lacks a number."""
        values: dict[str, Any] = {field.name: numbers[field.name] for field in fields(cls)}
        whole = ("smallest", "largest", "out_step", "in_step", "expired_least", "missing_windows")
        return cls(**{name: int(value) if name in whole else value for name, value in values.items()})

    @property
    def reach_s(self) -> float:
        """How far back a decision looks."""
        return max(self.cpu_for_s, self.memory_for_s, self.low_for_s, 2 * self.window_s)


def _either(wanted: Any, otherwise: Any) -> Any:
    return otherwise if wanted is None else wanted
