"""Processes of a test that end with it."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import IO, Any

from tests.support.zygote import OURS, ZYGOTE, Forked


@asynccontextmanager
async def running(*command: str, **options: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process, killed at the end of the block if it still runs then. `options` are those of `create_subprocess_exec`.

    Commands of `headrace` (`headrace_command`) are forked from the process that has their imports (zygote.py).
    """
    env = options.get("env")
    if ZYGOTE.takes(command, os.environ if env is None else env):
        options.pop("preexec_fn", None)  # it heeds interrupts anyway
        process: Any = await _forked(command[len(OURS) :], **options)
    else:
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


class _ForkedProcess:
    """What is used of `asyncio.subprocess.Process`, over a forked one."""

    stdin: asyncio.StreamWriter | None = None
    stdout: asyncio.StreamReader | None = None
    stderr: asyncio.StreamReader | None = None

    def __init__(self, forked: Forked) -> None:
        self._forked = forked
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._watched = forked.fileno()
        self._loop.add_reader(self._watched, self._end)
        self.pid = forked.pid
        self.send_signal, self.terminate, self.kill = forked.send_signal, forked.terminate, forked.kill

    @property
    def returncode(self) -> int | None:
        return self._forked.returncode

    def _end(self) -> None:
        self._loop.remove_reader(self._watched)
        self._forked.wait()
        self._ended.set()

    async def wait(self) -> int:
        await self._ended.wait()
        return self._forked.wait()

    async def communicate(self, given: bytes | None = None) -> tuple[bytes | None, bytes | None]:
        async def read(stream: asyncio.StreamReader | None) -> bytes | None:
            return None if stream is None else await stream.read()

        async def write() -> None:
            if self.stdin is not None:
                with suppress(BrokenPipeError, ConnectionResetError):
                    self.stdin.write(given or b"")
                    await self.stdin.drain()
                self.stdin.close()

        _, out, err = await asyncio.gather(write(), read(self.stdout), read(self.stderr))
        await self.wait()
        return out, err


async def _forked(
    arguments: Sequence[str],
    *,
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> _ForkedProcess:
    loop = asyncio.get_running_loop()
    ours: dict[str, IO[bytes]] = {}
    with ExitStack() as its:

        def pipe(name: str, mode: str) -> int:
            """The process's end; ours reads or writes, as `mode` says."""
            reading, writing = os.pipe()
            kept, given = (reading, writing) if mode == "rb" else (writing, reading)
            ours[name] = os.fdopen(kept, mode, buffering=0)
            its.callback(os.close, given)
            return given

        if stdin == PIPE:
            fed = pipe("stdin", "wb")
        else:
            its.callback(os.close, fed := os.open(os.devnull, os.O_RDONLY))
        out = pipe("stdout", "rb") if stdout == PIPE else 1
        err = pipe("stderr", "rb") if stderr == PIPE else out if stderr == STDOUT else 2
        process = _ForkedProcess(ZYGOTE.fork(arguments, os.environ if env is None else env, (fed, out, err), cwd))
    for name, file in ours.items():
        if name == "stdin":
            transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, file)
            process.stdin = asyncio.StreamWriter(transport, protocol, None, loop)
        else:
            reader = asyncio.StreamReader()
            await loop.connect_read_pipe(lambda reader=reader: asyncio.StreamReaderProtocol(reader), file)  # type: ignore[misc]
            setattr(process, name, reader)
    return process
