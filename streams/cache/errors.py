"""What can be wrong with a store on disk. Each message is one line that says how to mend it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

_NOT_DAMAGE: Final = ("Permission denied", "No space left", "Read-only file system", "Too many open files")


class StoreError(Exception):
    """The store cannot be used as asked."""


class StoreLockedError(StoreError):
    """Another process has the store open."""

    def __init__(self, path: Path, owner: str) -> None:
        super().__init__(
            f"the cache store {path} is open in {owner}: stop that one, or give this one a folder of its own (cache.disk.path)"
        )


class StoreCorruptError(StoreError):
    """The store's files are damaged or not ours."""

    def __init__(self, path: Path, cause: str) -> None:
        super().__init__(
            f"the cache store {path} cannot be read ({cause}): run `headrace cache rebuild`, or delete the folder; "
            "it is filled again from cache.entries"
        )


class StoreClosedError(StoreError):
    """The store was closed while, or before, it was asked."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"the cache store {path} is closed")


def opening_error(path: Path, error: Exception, owner: Callable[[Path], str | None]) -> StoreError:
    """What RocksDB said when the store did not open, as one of ours. `owner(path)` says which other process has it."""
    cause = " ".join(str(error).split())
    if isinstance(error, OSError) or any(words in cause for words in _NOT_DAMAGE):
        return StoreError(f"the cache store {path} does not open ({cause}): make room, or give leave to write there")
    if "lock hold by current process" in cause:
        return StoreLockedError(path, "this process")
    if "While lock file" in cause:
        return StoreLockedError(path, owner(path) or "another process")
    return StoreCorruptError(path, cause)
