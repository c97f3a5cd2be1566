"""How many objects a value would become, known from its bytes. Pure.

A MiB of `[` and `]` becomes half a million lists: 33 MB, and over 0.5 s of the event loop. Counting brackets and colons takes 15
ms for such a MiB, 0.1 us for 2 KB of prose, and leaving out those in strings 50 ms.
"""

from __future__ import annotations

import re
from typing import Final

# An unfinished one ends with the value: without that each quote in it would be tried as a beginning. Nothing is tried twice.
_STRING: Final = re.compile(rb'"(?>[^"\\]++|\\.)*+(?:"|\Z)', re.DOTALL)


def most_nodes(value: bytes) -> int:
    """Arrays, objects and keys of a JSON text at most: what stands in strings counts."""
    return value.count(b"[") + value.count(b"{") + value.count(b":")


def nodes(value: bytes) -> int:
    """Arrays, objects and keys of a JSON text."""
    return most_nodes(_STRING.sub(b"", value))
