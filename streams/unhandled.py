"""What no loop and no caller has caught: exceptions of callbacks, of tasks that nobody awaits, and of threads.

Each is logged with its stack and counted. Some are known to be harmless: of one connection, which asyncio has closed by then; of
a network or a broker that went away; of a generator that is being closed. Any other leaves something undone that nobody knows of:
a timer that fires no more, a thread that is gone. Then the process lets its calls finish and ends with 1, and is started anew.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Final, Self

import aiohttp
import structlog
from aiokafka.errors import KafkaError

from streams.errors import HeadraceError
from streams.metrics import definitions as metrics

log = structlog.get_logger("headrace.supervise")

_PASSES: Final = (KafkaError, OSError, aiohttp.ClientError, EOFError, asyncio.CancelledError)
_OF_ONE_CONNECTION: Final = ("protocol", "transport", "socket", "asyncgen", "client_session", "connection")
"""Keys of the context of asyncio's exception handler (docs.python.org, loop.call_exception_handler) and of aiohttp's."""


class FaultError(HeadraceError):
    """The process cannot go on: a fault of its own, in one line."""

    exit_code = 1


class Unhandled:
    """Watches this event loop, and the process' threads, from `watch` on."""

    def __init__(self) -> None:
        self._fatal: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    @classmethod
    def watch(cls) -> Self:
        """Begin; the loop's and the process' handlers are taken."""
        unhandled = cls()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: unhandled.on_context(context))

        def on_thread(given: threading.ExceptHookArgs) -> None:
            if given.exc_value is not None and not loop.is_closed():
                name = given.thread.name if given.thread is not None else ""
                loop.call_soon_threadsafe(unhandled.on_thread, name, given.exc_value)

        threading.excepthook = on_thread
        return unhandled

    @property
    def happened(self) -> bool:
        """Whether the process is to end."""
        return self._fatal.done()

    async def wait(self) -> None:
        """Until something happened that ends the process. Raises FaultError."""
        error = await asyncio.shield(self._fatal)
        raise FaultError(f"a fault that nothing can mend: {error!r}") from error

    def on_context(self, context: dict[str, Any]) -> None:
        """asyncio's exception handler."""
        error, what = context.get("exception"), str(context.get("message", ""))
        where = context.get("task") or context.get("future") or context.get("handle")
        harmless = isinstance(error, _PASSES) or any(key in context for key in _OF_ONE_CONNECTION)
        if error is None:  # a task that was destroyed while it waited, something that was not closed
            harmless = harmless or not _is_ours(context.get("task"))
            error = RuntimeError(what) if not harmless else None
        self._note("callback", error, harmless, what=what, where=repr(where)[:500])

    def on_thread(self, name: str, error: BaseException) -> None:
        """A thread has ended by an exception."""
        self._note("thread", error, harmless=False, what="a thread has ended", where=name)

    def _note(self, loop: str, error: BaseException | None, harmless: bool, **fields: str) -> None:
        metrics.LOOP_FAULTS.labels(loop).inc()
        if harmless:
            log.warning("an exception that nobody took, nothing depends on it", loop=loop, exc_info=error, **fields)
            return
        assert error is not None
        log.critical("an exception that nobody took, the process ends", loop=loop, exc_info=error, **fields)
        if not self._fatal.done():
            self._fatal.set_result(error)


def _is_ours(task: Any) -> bool:
    code = getattr(task.get_coro(), "cr_code", None) if isinstance(task, asyncio.Task) else None
    return code is not None and any(f"/{folder}/" in code.co_filename for folder in ("streams", "ops"))
