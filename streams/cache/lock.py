"""Who has a store.

RocksDB locks the file LOCK with fcntl, and the system knows by which process. But it does so late: before that it moves its own
LOG away, so that of two processes that open a new store together one finds a file gone. So a store has a lock of ours too, in a
file beside its folder, that is taken before RocksDB looks at anything.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import sys
from pathlib import Path
from typing import Final

_FLOCK: Final = struct.Struct("@hhqqi")  # struct flock on 64-bit Linux: type, whence, start, length, pid


class FolderLock:
    """The lock of the folder at `path`, held until `release` or the end of the process."""

    def __init__(self, path: Path) -> None:
        """Take it. Raises BlockingIOError where another one has it, in this process or another, and OSError."""
        file = path.with_name(f"{path.name}.lock")
        self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(self._descriptor, 20, 0).decode("ascii", "replace")
            os.close(self._descriptor)
            if error.errno in (errno.EAGAIN, errno.EACCES):
                raise BlockingIOError(f"process {owner}" if owner.isdigit() else "another process") from error
            raise
        os.truncate(self._descriptor, 0)
        os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Let go of it; twice is fine. The file stays: another process may be about to take it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def lock_owner(path: Path) -> str | None:
    """`process 4711`, or None where nobody holds it or that cannot be known.

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
