"""Which folder a worker's store is in: the first folder `slot-N` below `cache.disk.path` that no other worker has.

A worker that is started again takes the folder that it, or another one like it, left: warm, and read up to a known position.
RocksDB's own lock decides, so that a folder is free the moment its worker is gone, however it went.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Final

from streams.cache.disk import DiskTable
from streams.cache.errors import StoreLockedError
from streams.cache.lock import FolderLock, lock_owner
from streams.cache.rocks import TableOptions

MAX_STORES: Final = 64
"""More workers than this on one folder are a mistake, such as a folder on a shared file system."""


def store_dir(root: Path, number: int) -> Path:
    """The folder of one store."""
    return root / f"slot-{number}"


def store_dirs(root: Path) -> list[Path]:
    """The stores that are there, by number."""
    paths = (path for path in root.glob("slot-*") if path.name[5:].isdecimal())
    return sorted(paths, key=lambda path: int(path.name[5:]))


async def open_store(root: Path, options: TableOptions) -> DiskTable:
    """Open the first store that no other process has open.

    Raises StoreCorruptError for a damaged one (it is not passed over: who keeps a store wants to know, and repair is one
    command), StoreLockedError where all are taken, StoreError where the folder cannot be used.
    """
    for number in range(MAX_STORES):
        try:
            return await DiskTable.open(store_dir(root, number), options)
        except StoreLockedError:
            continue
    raise StoreLockedError(root, f"{MAX_STORES} processes, each with a store of its own")


async def rebuild(root: Path) -> list[Path]:
    """Delete every store that no process has open; workers fill them again from the topic. Gives those deleted.

    Raises OSError where a file cannot be deleted.
    """
    deleted = []
    for path in store_dirs(root):
        try:
            lock = FolderLock(path)
        except BlockingIOError:
            continue
        try:
            if lock_owner(path) is None:
                await asyncio.to_thread(shutil.rmtree, path)
                deleted.append(path)
        finally:
            lock.release()
    return deleted
