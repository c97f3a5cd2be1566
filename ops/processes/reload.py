"""Settings that change while a process runs: read again on SIGHUP and when their file changes, checked, then taken or refused.

What is wrong changes nothing: the settings before it stay, and one line says why. What takes effect at once and what at the next
start is decided by streams/settings/changes.py alone; every part that takes new values prepares first and may refuse, and is told
to take them only when nobody has refused.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog

from ops.processes import logs
from ops.processes.settings_file import SettingsFile, Signature
from streams.metrics import definitions as metrics
from streams.redaction import in_force
from streams.settings import Settings, SettingsError
from streams.settings.changes import Change, Process, changes, flat, taken, takers
from streams.settings.secrets import rotated
from streams.supervise import end, supervised

log = structlog.get_logger("headrace.settings")

LOOK_EVERY_S: Final = 0.5

Prepare = Callable[[Settings], Callable[[], None]]
"""Check new settings (SettingsError where they cannot be taken), and return what takes them."""


class Reload:
    """Runs from `start` to `stop`. `settings`: those of the start. `prepare`: the parts of the process that take new ones.

    `on_signal` is called for each SIGHUP besides, whatever became of the file.
    """

    def __init__(
        self,
        file: SettingsFile,
        settings: Settings,
        process: Process,
        prepare: Sequence[Prepare] = (),
        on_signal: Sequence[Callable[[], None]] = (),
        *,
        every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._file = file
        self._process = process
        self._prepare = prepare
        self._on_signal = on_signal
        self._every_s = every_s
        self._started = self._in_force = flat(settings)
        self._needs_provider = bool(settings.providers)
        self._told: set[tuple[str, str]] = set()
        self._asked = asyncio.Event()
        self._seen: Signature | None = None
        self._read_at: Signature | None = file.at_start
        self._tasks: list[asyncio.Task[None]] = []

    def document(self) -> dict[str, Any]:
        """`/settings`: what is in force, secrets masked."""
        return {
            place: {"key": value.key, "value": value.shown, "endpoint": value.endpoint}
            for place, value in self._in_force.items()
        }

    def start(self) -> None:
        """From now on. A change of the file since the process has read it is a change, too."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._asked.set)
        self._tasks = [supervised("settings", self._run)]

    async def stop(self) -> None:
        """SIGHUP does nothing any more; it never ends the process."""
        asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        await end(self._tasks)

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._every_s):
                    await self._asked.wait()
            except TimeoutError:
                if await self._has_changed():
                    await self._again("its file has changed")
                continue
            self._asked.clear()
            for tell in self._on_signal:
                tell()
            self._read_at = await asyncio.to_thread(self._file.signature)
            await self._again("SIGHUP")

    async def _has_changed(self) -> bool:
        """Whether two looks have found the same state of the file, and not the one that was read: it may be half written."""
        before, self._seen = self._seen, await asyncio.to_thread(self._file.signature)
        if self._seen is None or self._seen != before or self._seen == self._read_at:
            return False
        self._read_at = self._seen
        return True

    async def _again(self, why: str) -> None:
        about = {"file": str(self._file.path), "why": why}
        try:
            new = await asyncio.to_thread(self._file.read)
            if self._needs_provider:
                new.ensure_provider()
            secrets = new.secrets(missing_too=False)
            takes = [prepare(new) for prepare in self._prepare]
        except SettingsError as error:
            metrics.SETTINGS_RELOADS.labels("refused").inc()
            log.error("the settings are wrong and not taken, those before stay", problem=str(error), **about)
            return
        found = changes(self._in_force, flat(new), self._started)
        for secret in secrets:
            rotated.add(secret)
        for take in takes:
            take()
        logs.adjust(new.logging.level, new.logging.lines_per_second)
        in_force.take(new.redaction)
        self._tell(found, about)
        self._in_force = taken(self._in_force, flat(new), found)
        metrics.SETTINGS_RELOADS.labels("taken").inc()

    def _tell(self, found: list[Change], about: dict[str, str]) -> None:
        waiting = [each for each in found if each.kind == "restart"]
        live = [each for each in found if each.kind == "live"]
        log.info("settings read again", changed=len(live), wait_for_restart=len(waiting), **about)
        for each in live:
            if self._process in takers(each.key):
                log.info("a setting has changed", setting=each.place, was=each.was, now=each.now)
        for each in waiting:
            if (each.place, str(each.now)) not in self._told:
                log.warning(
                    "a setting has changed and needs a restart", setting=each.place, running=each.was, file=each.now
                )
        self._told = {(each.place, str(each.now)) for each in waiting}
