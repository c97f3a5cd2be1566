"""How commands that talk to a broker run: on an event loop, with one line for what a user can mend."""

import asyncio
import logging
import signal
import sys
from collections.abc import Coroutine
from typing import Any, NoReturn, TypeVar

import orjson
import structlog

from ops.cli.console import fail
from ops.cli.plain import plain_json
from ops.processes.logs import configure

Result = TypeVar("Result")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run to the end. SIGTERM ends it as Ctrl-C does: what it started is ended first, the exit code is 130.

    Raises what the work raises; a HeadraceError then ends the command with its line (ops/cli/__init__.py).
    """
    if not structlog.is_configured():
        configure("error")  # to stderr: stdout is the command's answer
    # What the client logs while it tries would stand beside the one line that says how it ended.
    for library in ("aiokafka", "asyncio"):
        logging.getLogger(library).addHandler(logging.NullHandler())
    try:
        return asyncio.run(_with_sigterm(work))
    except asyncio.CancelledError:
        _interrupted()
    except KeyboardInterrupt:
        _interrupted()


async def _with_sigterm(work: Coroutine[Any, Any, Result]) -> Result:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work


def _interrupted() -> NoReturn:
    raise SystemExit(130)


def seconds(option: str, given: str) -> float:
    """The seconds of a duration such as 30s, given for an option; or the end of the command."""
    from streams.settings.units import parse_duration

    try:
        return parse_duration(given)
    except ValueError as error:
        fail(f"{option}: {error}")


def print_json_line(value: Any) -> None:
    """Write a value as one line of JSON to stdout, at once."""
    sys.stdout.write(plain_json(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE).decode()))
    sys.stdout.flush()
