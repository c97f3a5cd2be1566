"""Virtual environments of the peers: made at their first use from hashed lock files, and again when those change."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sys
import sysconfig
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ops.bench.ground import Say
from ops.bench.run import ROOT, BenchError

LOCKS: Final = Path(__file__).parent / "peers"
_INSTALL_WITHIN_S: Final = 900.0


async def peer_python(lock: str, say: Say) -> Path:
    """The interpreter of the environment with exactly what `peers/LOCK` names. BenchError if it cannot be made."""
    wanted = (LOCKS / lock).read_bytes() + sysconfig.get_python_version().encode()
    digest = hashlib.sha256(wanted).hexdigest()
    folder = ROOT / ".cache" / "bench" / Path(lock).stem
    python, stamp = folder / "bin" / "python", folder / ".ready"
    if stamp.exists() and stamp.read_text() == digest:
        return python
    say(f"making {folder.relative_to(ROOT)} (once, some minutes) …")
    shutil.rmtree(folder, ignore_errors=True)
    await call(sys.executable, "-m", "venv", str(folder))
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    await call(*pip, "--no-deps", "--require-hashes", "-r", str(LOCKS / lock))
    stamp.write_text(digest)
    return python


async def call(*command: str, folder: Path | None = None, environment: Mapping[str, str] | None = None) -> None:
    """Run a command to its end. BenchError with its last line if it fails or takes too long."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=PIPE, stderr=STDOUT, cwd=folder, env={**os.environ, **(environment or {})}
    )
    try:
        async with asyncio.timeout(_INSTALL_WITHIN_S):
            said, _ = await process.communicate()
    except TimeoutError:
        raise BenchError(f"{' '.join(command[:4])} … took longer than {_INSTALL_WITHIN_S:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        lines = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
        raise BenchError(lines[-1] if lines else f"{command[0]} ended with {process.returncode}")
