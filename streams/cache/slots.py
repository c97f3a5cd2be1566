"""Which folder a worker's store is in: the first slot below `cache.disk.path` that no other worker has.

A worker that is started again takes the folder that it, or another one like it, left: warm, and read up to a known position.
RocksDB's own lock decides, so that a slot is free the moment its worker is gone, however it went.
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

MAX_SLOTS: Final = 64
"""More workers than this on one folder are a mistake, such as a folder on a shared file system."""


def slot(root: Path, number: int) -> Path:
    """The folder of a slot."""
    return root / f"slot-{number}"


def slots(root: Path) -> list[Path]:
    """The slots that are there, by number."""
    found = (path for path in root.glob("slot-*") if path.name[5:].isdecimal())
    return sorted(found, key=lambda path: int(path.name[5:]))


async def open_slot(root: Path, options: TableOptions) -> DiskTable:
    """Open the first free slot.

    Raises StoreCorruptError for a damaged one (it is not passed over: who keeps a store wants to know, and mending is one
    command), StoreLockedError where all are taken, StoreError where the folder cannot be used.
    """
    for number in range(MAX_SLOTS):
        try:
            return await DiskTable.open(slot(root, number), options)
        except StoreLockedError:
            continue
    raise StoreLockedError(root, f"{MAX_SLOTS} processes, each in a slot of its own")


async def rebuild(root: Path) -> list[Path]:
    """Delete every slot that no process has open; workers fill them again from the topic. Gives those deleted.

    Raises OSError where a file cannot be deleted.
    """
    deleted = []
    for path in slots(root):
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
