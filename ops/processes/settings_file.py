"""The settings file of a running process: whether it may have changed, and what it says now.

A file is replaced while processes run: by an editor (a new file is renamed onto it), by Kubernetes (a symbolic link to its
folder is swapped), by a shell (emptied, then written).
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from streams.settings import Settings, SettingsError, load_settings
from streams.settings.sources import settings_file

MOST_BYTES: Final = 4_000_000

Signature = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """The file that a process read at its start; no other one is read later. `path` is None where there was none."""

    path: Path | None
    at_start: Signature | None = None

    @classmethod
    def of(cls, given: Path | None) -> Self:
        """The file that `--settings` names, or that is taken without it. Asked before it is read, so that no change is missed."""
        path = settings_file(given, os.environ)
        return cls(path, _signature(path))

    def signature(self) -> Signature | None:
        """What tells one state of the file from another; None where it is not there, or cannot be read a second time (a pipe)."""
        return _signature(self.path)

    def read(self) -> Settings:
        """The settings of the file as it is now, and of the environment. SettingsError for whatever is wrong with them."""
        if self.path is None:
            raise SettingsError("no settings file was read at the start, so there is none to read again")
        try:
            found = self.path.stat()
        except OSError as error:
            raise SettingsError(f"{self.path}: cannot be read: {error.strerror}") from None
        if not stat.S_ISREG(found.st_mode):
            raise SettingsError(f"{self.path}: is no file, and cannot be read a second time")
        if found.st_size > MOST_BYTES:
            raise SettingsError(f"{self.path}: has more than {MOST_BYTES} bytes; settings are small")
        return load_settings(self.path)


NO_FILE: Final = SettingsFile(None)
"""Of a process whose settings come from elsewhere."""


def _signature(path: Path | None) -> Signature | None:
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None
