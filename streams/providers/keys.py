"""The API key of an endpoint as it is now: fixed, or read again from its file when that changes.

A key file is replaced while calls are made: by an editor (a new file is renamed onto it), by Kubernetes (a symbolic link to
its folder is swapped), by a shell (emptied, then written). What is read counts once two looks have found the same, so that a
key written by halves is not taken for a whole one. One look a second costs two system calls, in a thread: a network file
system that hangs holds up nobody.

Where the provider has refused a key, the file is looked at there and then, and what it holds is tried at once: the key in use
is no good in any case.
"""

from __future__ import annotations

import asyncio
import stat
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from streams.settings.secrets import BadSecretError, api_key, read_secret, rotated
from streams.supervise import Loops

log = structlog.get_logger("headrace.providers")

LOOK_EVERY_S: Final = 1.0

_RACY_NS: Final = 2_000_000_000
"""A file changed so shortly before it was read may have changed again within the same tick of its clock."""

_SCRUBBED: Final = "***"


class KeySource:
    """The key of one endpoint. `current` is None for an endpoint without one.

    `on_change` is called, from the event loop, when there is another key.
    """

    def __init__(self, current: str | None) -> None:
        self.current = current
        self.on_change: Callable[[], None] = lambda: None
        self._previous: str | None = None

    async def refused(self, used: str | None) -> bool:
        """The provider did not take the key `used`: whether there is another one now, worth a try at once."""
        return self.current != used

    def scrub(self, text: str) -> str:
        """The text without this key and the one before it: some providers quote the key that they refuse."""
        for key in (self.current, self._previous):
            if key is not None:
                text = text.replace(key, _SCRUBBED)
        return text


class KeyFile(KeySource):
    """A key that is read again when its file changes. `provider`, `url`: for the log. Only `KeyFiles` and calls look."""

    def __init__(self, path: Path, current: str, provider: str, url: str) -> None:
        super().__init__(current)
        self._path = path
        self._about = {"provider": provider, "url": url, "file": str(path)}
        self._seen: _Look | None = None
        self._bad = False
        self._looking = asyncio.Lock()

    async def look(self, *, at_once: bool = False) -> None:
        """Look at the file; take a new key if the look before found the same, or `at_once`."""
        async with self._looking:
            before = self._seen
            self._seen = seen = await asyncio.to_thread(_look, self._path, before)
            if seen is None or not (at_once or (before is not None and seen.same(before))):
                return
            if seen.key is None:
                self._warn(seen.problem)
            elif seen.key != self.current:
                self._take(seen.key)
            else:
                self._bad = False

    async def refused(self, used: str | None) -> bool:
        if self.current == used:
            await self.look(at_once=True)
        return self.current != used

    def _take(self, key: str) -> None:
        rotated.add(key)
        self._previous, self.current, self._bad = self.current, key, False
        log.info("api key read again: its file has changed", **self._about)
        self.on_change()

    def _warn(self, problem: str) -> None:
        if not self._bad:
            self._bad = True
            log.warning("the key file holds no key now; the key before it stays in use", why=problem, **self._about)


class KeyFiles:
    """Looks once in a while at the key files that `follow` names, until it is stopped."""

    def __init__(self, every_s: float = LOOK_EVERY_S) -> None:
        self._every_s = every_s
        self._asked: dict[KeyFile, asyncio.Event] = {}
        self._loops: Loops[KeyFile] = Loops("keys")

    def follow(self, files: Iterable[KeyFile]) -> None:
        """Look at these from now on, and at no others."""
        self._asked = {each: self._asked.get(each) or asyncio.Event() for each in files}
        self._loops.keep({each: partial(self._run, each, asked) for each, asked in self._asked.items()})

    def look_now(self) -> None:
        """Somebody says that they have changed: what they hold is taken at once."""
        for asked in self._asked.values():
            asked.set()

    async def _run(self, file: KeyFile, asked: asyncio.Event) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every_s):
                    await asked.wait()
            at_once = asked.is_set()
            asked.clear()
            await file.look(at_once=at_once)

    async def stop(self) -> None:
        await self._loops.end()


@dataclass(frozen=True, slots=True)
class _Look:
    """What a look found: a key, or the problem in its place. `signature`: of the file, None where that says nothing."""

    signature: tuple[int, ...] | None
    key: str | None
    problem: str

    def same(self, other: _Look) -> bool:
        return (self.key, self.problem) == (other.key, other.problem)


def _look(path: Path, before: _Look | None) -> _Look | None:
    """What the file holds now; it is only read if it may have changed since `before`. None: it cannot be read twice."""
    try:
        status = path.stat()
    except OSError as error:
        return _Look(None, None, f"cannot be read: {error.strerror}")
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        return None  # a pipe, such as a shell's <(...): it was read at the start
    signature = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    if before is not None and before.signature == signature:
        return before
    key, problem = None, ""
    try:
        key = read_secret(path, api_key)
    except BadSecretError as error:
        problem = str(error)
    settled = time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > _RACY_NS
    return _Look(signature if settled else None, key, problem)
