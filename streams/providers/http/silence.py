"""How long a stream that has begun may say nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from types import TracebackType
from typing import Self

from streams.alarm import Alarm


class SilenceError(Exception):
    """A stream has begun and stands still."""


class Silence:
    """Bounds each wait for the next piece of one stream, inside an `async with` of the task that waits."""

    def __init__(self) -> None:
        self._alarm = Alarm(self._break)
        self._task = asyncio.current_task()
        self._cancelled = 0 if self._task is None else self._task.cancelling()
        self._broken = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._alarm.close()

    async def bounds(self, piece: Awaitable[bytes], within_s: float | None) -> bytes:
        """The piece, if it comes in that time; None: whenever it comes. Raises SilenceError."""
        if within_s is not None:
            self._alarm.set(asyncio.get_running_loop().time() + within_s)
        try:
            return await piece
        except asyncio.CancelledError:
            if not self._broken:
                raise
            self._broken = False
            if (
                self._task is not None and self._task.uncancel() > self._cancelled
            ):  # somebody else has cancelled it, too
                raise
            raise SilenceError from None
        finally:
            self._alarm.clear()

    def _break(self) -> None:
        """As asyncio.timeout does, which would be one for each piece: cancel, and take that back where it is noticed."""
        if self._task is not None:
            self._broken = True
            self._task.cancel()
