"""What the process uses of the machine, from psutil and its control group."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass

import psutil

from schemas.metric_sample import System
from streams.metrics import cgroup
from streams.settings.fleet import SystemMetric


@dataclass(frozen=True, slots=True)
class _Used:
    """Since the start of the process or the machine."""

    cpu_s: float
    received: int
    sent: int
    read: int | None
    written: int | None


class SystemMeter:
    """Reads what was used since the last reading. `budget_bytes` is the process's memory budget."""

    def __init__(self, wanted: Collection[SystemMetric], budget_bytes: int) -> None:
        self._wanted = wanted
        self._budget_bytes = budget_bytes
        self._process = psutil.Process()
        self._cores = usable_cores(
            cgroup.cores_allowed(), len(os.sched_getaffinity(0)) if _AFFINITY else os.cpu_count()
        )
        self._before = self._used()

    def read(self, elapsed_s: float) -> System:
        """The `elapsed_s` seconds since the last reading. Costs 0.5 ms."""
        before, self._before = self._before, self._used()
        now = self._before
        cpu, memory, network, disk = (
            name in self._wanted for name in ("cpu_usage", "memory_usage", "network_io", "disk_io")
        )
        resident = self._process.memory_info().rss if memory else None
        return System(
            cpu_usage=round((now.cpu_s - before.cpu_s) / (elapsed_s * self._cores), 4)
            if cpu and elapsed_s > 0
            else None,
            cpu_cores=round(self._cores, 4) if cpu else None,
            memory_usage_bytes=resident,
            memory_share=None if resident is None else self._memory_share(resident),
            network_received_bytes=_since(now.received, before.received) if network else None,
            network_sent_bytes=_since(now.sent, before.sent) if network else None,
            disk_read_bytes=_since(now.read, before.read) if disk else None,
            disk_written_bytes=_since(now.written, before.written) if disk else None,
        )

    def _memory_share(self, resident: int) -> float:
        return round(max(resident / self._budget_bytes, cgroup.memory_share() or 0.0), 4)

    def _used(self) -> _Used:
        cpu, net, (read, written) = self._process.cpu_times(), psutil.net_io_counters(), self._disk()
        return _Used(cpu.user + cpu.system, net.bytes_recv, net.bytes_sent, read, written)

    def _disk(self) -> tuple[int | None, int | None]:
        try:
            counters = self._process.io_counters()
        except (AttributeError, psutil.Error, OSError):  # not on every system, nor in every sandbox
            return None, None
        return counters.read_bytes, counters.write_bytes


_AFFINITY: bool = hasattr(os, "sched_getaffinity")


def usable_cores(quota: float | None, processors: int | None) -> float:
    """Cores that a worker can use: what its group allows and what it may run on, and at most one.

    A worker is one event loop: it is at its limit when that takes one core, however many there are, and more cores are used by
    more workers.

    >>> usable_cores(None, 8), usable_cores(0.5, 8), usable_cores(4.0, 8)
    (1.0, 0.5, 1.0)
    """
    return min(1.0, float(processors or 1), quota if quota is not None else 1.0)


def _since(now: int | None, before: int | None) -> int | None:
    return None if now is None or before is None else max(0, now - before)
