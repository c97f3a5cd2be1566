"""What the kernel says of a process's control group (version 2): pure readings of its files.

A process in a container sees the machine's processors and memory everywhere else; what it may use of them stands here.
Files and units: https://docs.kernel.org/admin-guide/cgroup-v2.html, sections 5-1-1 and 5-2-1.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

CGROUPS: Final = Path("/sys/fs/cgroup")
PROC: Final = Path("/proc")


def cgroup_folders(proc: Path = PROC, cgroups: Path = CGROUPS) -> Iterator[Path]:
    """The folder of this process's group, then those above it; none without version 2."""
    own = own_path(_text(proc / "self" / "cgroup") or "")
    if own is None:
        return
    folder = cgroups / own.lstrip("/")
    yield folder
    while folder != cgroups:
        folder = folder.parent
        yield folder


def own_path(text: str) -> str | None:
    """The path of the version 2 group in /proc/self/cgroup; None if there is none, or one that names no place below the root.

    >>> own_path("12:cpu:/old\\n0::/kubepods/pod7\\n"), own_path("12:cpu:/old\\n"), own_path("0::/../elsewhere\\n")
    ('/kubepods/pod7', None, None)
    """
    own = next((line[3:] for line in text.splitlines() if line.startswith("0::/")), None)
    return None if own is None or ".." in Path(own).parts else own


def cpu_quota(text: str) -> float | None:
    """Cores in `cpu.max` (quota and period in us); None where there is no limit.

    >>> cpu_quota("150000 100000\\n"), cpu_quota("max 100000\\n")
    (1.5, None)
    """
    quota, _, period = text.strip().partition(" ")
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() and int(period) else None


def memory_limit(text: str) -> int | None:
    """Bytes in `memory.max`; None where there is no limit.

    >>> memory_limit("536870912\\n"), memory_limit("max\\n")
    (536870912, None)
    """
    return int(text) if text.strip().isdecimal() else None


def working_set(current: str, stat: str) -> int | None:
    """Bytes of the group that the kernel cannot simply drop: `memory.current` without `inactive_file` of `memory.stat`.

    What Kubernetes evicts by. None where it cannot be read.

    >>> working_set("1000\\n", "anon 300\\ninactive_file 400\\n")
    600
    """
    if not current.strip().isdecimal():
        return None
    fields = dict(line.split(" ", 1) for line in stat.splitlines() if " " in line)
    dropped = fields.get("inactive_file", "0").strip()
    return max(0, int(current) - (int(dropped) if dropped.isdecimal() else 0))


def cores_allowed(proc: Path = PROC, cgroups: Path = CGROUPS) -> float | None:
    """The smallest quota of the group and those above it, in cores; None without one."""
    quotas = [cpu_quota(_text(folder / "cpu.max") or "") for folder in cgroup_folders(proc, cgroups)]
    return min((quota for quota in quotas if quota is not None), default=None)


def memory_share(proc: Path = PROC, cgroups: Path = CGROUPS) -> float | None:
    """How full the fullest of the group and those above it is, of those with a limit; None without one."""
    shares = []
    for folder in cgroup_folders(proc, cgroups):
        limit = memory_limit(_text(folder / "memory.max") or "")
        used = working_set(_text(folder / "memory.current") or "", _text(folder / "memory.stat") or "")
        if limit and used is not None:
            shares.append(used / limit)
    return max(shares, default=None)


def _text(file: Path) -> str | None:
    try:
        return file.read_text()
    except OSError:  # not this kernel, not version 2, or the root group, which has no limits
        return None
