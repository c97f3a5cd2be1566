"""Getting memory back: Python's collector and the C library's allocator."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections.abc import Callable
from typing import Final

_YOUNG: Final = 1
_M_MMAP_THRESHOLD: Final = -3


def collect_young() -> None:
    """Collect the two young generations."""
    gc.collect(_YOUNG)


def collect_all() -> None:
    """Collect everything but what the worker has frozen at its start: that is never garbage."""
    gc.collect()


def return_buffers_at_once() -> None:
    """Have the allocator take buffers of 32 KiB and more from the system and return them when they are freed.

    Otherwise glibc raises that line, up to 32 MiB, with every larger buffer that is freed (mallopt(3), M_MMAP_THRESHOLD), and
    keeps what is below it. Does nothing where there is no glibc.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 32 * 1024)


def find_give_back() -> Callable[[], None]:
    """What tells the allocator to return freed pages to the system, also from the middle of its heaps.

    glibc has it (`malloc_trim`, since 2.8 for whole free pages anywhere); elsewhere (musl, macOS) the result does nothing, for
    those allocators give back by themselves.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return lambda: None
    trim.argtypes, trim.restype = [ctypes.c_size_t], ctypes.c_int
    return lambda: trim(0)
