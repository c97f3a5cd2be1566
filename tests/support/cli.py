"""The `headrace` command as a user calls it."""

import asyncio
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from pathlib import Path

from ops.processes.fleet import clean_environment, headrace_command
from tests.support.processes import running

_WITHIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Called:
    """How a command ended and what it said."""

    code: int | None
    out: str
    err: str


async def headrace(
    *arguments: str, settings: Path | None = None, servers: str | None = None, stdin: str = "", cwd: Path | None = None
) -> Called:
    """Run a command to its end, with a settings file or a broker's address and no other HEADRACE_ variable."""
    chosen = ["--settings", str(settings)] if settings is not None else []
    environment = clean_environment({"HEADRACE_KAFKA__BOOTSTRAP_SERVERS": servers} if servers is not None else {})
    async with running(
        *headrace_command(*arguments, *chosen), stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment, cwd=cwd
    ) as process:
        async with asyncio.timeout(_WITHIN_S):
            out, err = await process.communicate(stdin.encode())
    return Called(process.returncode, out.decode(), err.decode())
