"""Getting memory back: Python's collector and the C library's allocator."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from typing import Final

_YOUNG: Final = 1


def collect_young() -> None:
    """Collect the two young generations."""
    gc.collect(_YOUNG)


def collect_all() -> None:
    """Collect everything but what the worker has frozen at its start: that is never garbage."""
    gc.collect()


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
