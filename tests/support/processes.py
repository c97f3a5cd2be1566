"""Processes of a test that end with it."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def running(*command: str, **options: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process, killed at the end of the block if it still runs then. `options` are those of `create_subprocess_exec`."""
    process = await asyncio.create_subprocess_exec(*command, **options)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def heeds_interrupts() -> None:
    """For `preexec_fn`: the child takes SIGINT, also where we are a background job, whose children ignore it by inheritance."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
