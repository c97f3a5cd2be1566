"""How a process that runs until SIGTERM begins and ends: its files, its logs, and an address that somebody else has."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from ops.cli.console import fail

if TYPE_CHECKING:
    from streams.settings import Settings


def run_process(
    work: Callable[[Settings], Coroutine[Any, Any, None]],
    settings: Settings,
    *,
    listens: str = "http.listen",
    secrets_missing_too: bool = True,
) -> None:
    """Run `work(settings)` to its end: logs on stderr, files for its user alone, and one line where the address is taken.

    Raises what the work raises; a HeadraceError then ends the command with its line and exit code (ops/cli/__init__.py).
    """
    import asyncio

    from ops.processes import logs
    from ops.processes.private_files import keep_files_private
    from streams.redaction import in_force

    keep_files_private()
    logging = settings.logging
    secrets = settings.secrets(missing_too=secrets_missing_too)
    in_force.take(settings.redaction)
    logs.configure(logging.level, logging.format, secrets=secrets, lines_per_second=logging.lines_per_second)
    try:
        asyncio.run(work(settings))
    except OSError as error:
        if error.errno is None or "bind" not in str(error):
            raise
        section = listens.partition(".")[0]
        address = getattr(settings, section).listen
        fail(f"{listens} = {address!r}: {error.strerror}")
