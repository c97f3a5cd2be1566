"""`headrace worker` or `control` that breaks on SIGUSR1 in the way that BREAK names; for test_broken_processes.py."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import Any

from ops.cli import main
from ops.processes import service
from streams.governor.governor import Governor
from streams.scaling.tail import ScalingTail
from streams.transport.consumer import RecordListConsumer


def broken(*_: Any, **__: Any) -> Any:
    raise KeyError("broken on purpose")


def once(owner: type, name: str) -> None:
    """The next call of this method fails; those after it are its own."""
    real = getattr(owner, name)

    def method(*given: Any, **named: Any) -> Any:
        setattr(owner, name, real)
        return broken()

    setattr(owner, name, method)


async def broken_task() -> None:
    broken()


def break_it() -> None:
    loop = asyncio.get_running_loop()
    match os.environ["BREAK"]:
        case "callback":
            loop.call_soon(broken)
        case "task":
            loop.create_task(broken_task())  # noqa: RUF006 - that nobody holds it is the fault
        case "thread":
            threading.Thread(target=broken, name="of the test").start()
        case "faust":
            once(RecordListConsumer, "_hand_out")
        case "governor":
            once(Governor, "look")
        case "scaling_tail":
            once(ScalingTail, "_note_window")
        case "control":
            ScalingTail.catch_up = broken  # type: ignore[method-assign]


class BreakableStop(service.Stop):
    @classmethod
    def on_signals(cls) -> BreakableStop:
        stop = super().on_signals()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, break_it)
        return stop


if __name__ == "__main__":
    from ops.processes import control as control_process
    from ops.processes import front as front_process
    from ops.processes import worker as worker_process

    worker_process.Stop = control_process.Stop = front_process.Stop = BreakableStop  # type: ignore[attr-defined]
    main()
