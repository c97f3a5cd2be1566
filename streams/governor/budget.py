"""How much memory a worker may use: what is set, else what its cgroup allows, else a share of the machine's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from streams.metrics.cgroup import cgroup_folders, memory_limit

CGROUP_SHARE: Final = 0.9
"""Of a cgroup's limit: the kernel counts socket buffers, page tables and fresh file pages of the group too, and they are in no
process's resident memory."""

MACHINE_SHARE: Final = 0.25
"""Of the machine's memory: there are other workers and a broker on it. With more than three workers, set the budget."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Resident memory that the worker stays below, and in words where the number is from."""

    bytes: int
    source: str


def memory_budget(
    wanted_bytes: int | None,
    *,
    proc: Path = Path("/proc"),
    cgroups: Path = Path("/sys/fs/cgroup"),
    machine_bytes: int | None = None,
) -> Budget:
    """The budget of this process. `wanted_bytes` is the setting, None for `auto`.

    What is set is cut to what the cgroup allows: beyond that the kernel kills, whatever the settings say.
    """
    limit = cgroup_limit(proc, cgroups)
    allowed = None if limit is None else int(limit * CGROUP_SHARE)
    if wanted_bytes is not None and (allowed is None or wanted_bytes <= allowed):
        return Budget(wanted_bytes, "memory.budget")
    if allowed is not None:
        return Budget(allowed, f"{CGROUP_SHARE:.0%} of the cgroup's limit")
    total = psutil.virtual_memory().total if machine_bytes is None else machine_bytes
    return Budget(int(total * MACHINE_SHARE), f"{MACHINE_SHARE:.0%} of the machine's memory")


def cgroup_limit(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that this process's cgroup (version 2) and those above it allow; None where there is no limit, or no version 2.

    `memory.high` counts like `memory.max`: above it the kernel slows the process down until it is of no use.
    """
    limits = [
        limit
        for folder in cgroup_folders(proc, cgroups)
        for name in ("memory.max", "memory.high")
        if (limit := _limit(folder / name)) is not None
    ]
    return min(limits, default=None)


def _limit(file: Path) -> int | None:
    try:
        return memory_limit(file.read_text())
    except OSError:  # the root has none, and version 1 has other files
        return None
