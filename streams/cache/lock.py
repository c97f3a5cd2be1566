"""Who holds the lock of a store: RocksDB locks the file LOCK with fcntl, and the system knows by which process."""

from __future__ import annotations

import fcntl
import os
import struct
import sys
from pathlib import Path
from typing import Final

_FLOCK: Final = struct.Struct("@hhqqi")  # struct flock on 64-bit Linux: type, whence, start, length, pid


def lock_owner(path: Path) -> str | None:
    """`process 4711`, or None where nobody holds it or that cannot be told.

    Not for a store that this process has open itself: POSIX gives up all of a process's locks on a file when any of its
    descriptors of that file is closed. RocksDB's refusal says so in that case; callers ask only for others'.
    """
    if sys.platform != "linux":
        return None
    try:
        descriptor = os.open(path / "LOCK", os.O_RDWR)
    except OSError:
        return None
    try:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked.ljust(_FLOCK.size, b"\0")))
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return f"process {pid}" if kind != fcntl.F_UNLCK and pid > 0 else None
