"""Request bodies as gzip."""

from __future__ import annotations

import asyncio
import zlib
from typing import Final

_LEVEL: Final = 1
"""Chats of 10 KB: level 1 to 38 % of their size in 0.1 ms, level 6 to 34 % in 0.3 ms."""

_ALONE_BYTES: Final = 64 * 1024
"""Larger bodies are compressed in a thread: the event loop is not to stand still for them (1 MB: 10 ms)."""


async def compress(body: bytes) -> bytes:
    return await asyncio.to_thread(_gzip, body) if len(body) > _ALONE_BYTES else _gzip(body)


def _gzip(body: bytes) -> bytes:
    press = zlib.compressobj(_LEVEL, zlib.DEFLATED, 31)
    return press.compress(body) + press.flush()
