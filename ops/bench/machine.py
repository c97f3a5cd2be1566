"""What the figures were measured on: machine, interpreter, libraries. Figures without it mean nothing."""

from __future__ import annotations

import asyncio
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import psutil

_OURS: Final = ("headrace", "aiokafka", "faust-streaming", "pydantic", "orjson", "rocksdict", "httpx2")
_VERSIONS: Final = "import importlib.metadata as m, sys; [print(n, m.version(n)) for n in sys.argv[1:]]"


def machine() -> dict[str, str]:
    """Names and values for people, in the order to show them."""
    return {
        "cpu": _cpu(),
        "cores": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 1e9:.0f} GB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def versions() -> dict[str, str]:
    """Versions of what the product runs on."""
    return {name: found for name in _OURS if (found := _version(name))}


async def peer_versions(python: Path, names: list[str]) -> dict[str, str]:
    """Versions in a peer's environment."""
    said = await said_by(str(python), "-c", _VERSIONS, *names)
    return {name: found for name, _, found in (line.partition(" ") for line in said.splitlines())}


async def said_by(*command: str) -> str:
    """What a command writes to stdout."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    said, _ = await process.communicate()
    return said.decode()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
