"""What can be wrong with a store on disk. Each message is one line that says how to fix it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from streams.errors import HeadraceError

_NOT_DAMAGE: Final = (
    "Permission denied", "Operation not permitted", "No space left", "Disk quota exceeded", "Read-only file system",
    "Too many open files", "Input/output error", "Stale file handle", "Cannot allocate memory", "temporarily unavailable",
    "File too large", "Not a directory", "No locks available", "access denied",
)  # fmt: skip
"""The system's words (strerror) for what the files have no part in."""
_TAKEN: Final = ("Permission denied", "temporarily unavailable")
"""How fcntl says that somebody has the lock; of all else that keeps a lock from being taken nobody is the owner."""
_DAMAGE: Final = ("Corruption", "Invalid argument", "Not implemented", "MANIFEST", "CURRENT", ".sst")
"""RocksDB's words for files that are not what they should be, or missing. Nobody else's hand is in the folder: ours is locked."""


class StoreError(HeadraceError):
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
    if "lock hold by current process" in cause:
        return StoreLockedError(path, "this process")
    if "While lock file" in cause and any(words in cause for words in _TAKEN):
        return StoreLockedError(path, owner(path) or "another process")
    if isinstance(error, OSError) or any(words in cause for words in _NOT_DAMAGE):
        return StoreError(f"the cache store {path} does not open ({cause}): make room, or give leave to write there")
    if any(words in cause for words in _DAMAGE):
        return StoreCorruptError(path, cause)
    return StoreError(f"the cache store {path} does not open ({cause})")
