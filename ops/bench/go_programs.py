"""Peers in Go: built at their first use from a hashed go.sum, and again when their source or the toolchain changes."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Final

from ops.bench.ground import Say
from ops.bench.machine import said_by
from ops.bench.run import ROOT, BenchError
from ops.bench.venvs import LOCKS, call

_BUILD: Final = {
    "GOFLAGS": "-mod=readonly -trimpath",  # go.sum is what it is: a module that differs from it fails the build
    "GOTOOLCHAIN": "local",  # the Go of this machine, never one that is fetched for it
    "GOWORK": "off",
    "CGO_ENABLED": "0",
}


async def go_version() -> str:
    """The toolchain of this machine, such as `go1.26.8`. BenchError where there is none."""
    if shutil.which("go") is None:
        raise BenchError("there is no Go on this machine (https://go.dev/dl)")
    return (await said_by("go", "env", "GOVERSION")).strip()


async def peer_program(name: str, say: Say) -> Path:
    """The program built from `peers/NAME`. BenchError if it cannot be built."""
    source, version = LOCKS / name, await go_version()
    written = b"".join(file.read_bytes() for file in sorted(source.iterdir()))
    digest = hashlib.sha256(written + version.encode()).hexdigest()
    folder = ROOT / ".cache" / "bench" / name
    program, stamp = folder / name, folder / ".ready"
    if stamp.exists() and stamp.read_text() == digest:
        return program
    say(f"building {program.relative_to(ROOT)} with {version} …")
    folder.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    await call("go", "build", "-buildvcs=false", "-o", str(program), ".", folder=source, environment=_BUILD)
    stamp.write_text(digest)
    return program


async def program_versions(program: Path) -> dict[str, str]:
    """Versions of the toolchain and of the modules inside a program."""
    lines = (await said_by("go", "version", "-m", str(program))).splitlines()
    modules = dict(line.split()[1:3] for line in lines if line.startswith("\tdep\t"))
    return {"go": lines[0].rpartition(" ")[2], **modules} if lines else {}
