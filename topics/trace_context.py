"""W3C Trace Context of a record or an HTTP request: what is taken on, whatever a stranger sends. Pure.

https://www.w3.org/TR/trace-context-2/: what is malformed is passed over, and a trace begins anew; nothing else breaks. A
tracestate without a good traceparent says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

TRACEPARENT_BYTES: Final = 55
MOST_STATE_BYTES: Final = 512
"""Of a tracestate that is passed on: what the recommendation asks everybody to keep."""

_MOST_READ_BYTES: Final = 8192
_MOST_MEMBERS: Final = 32
_LARGE_MEMBER_BYTES: Final = 128
"""Of those that are too many bytes in all, larger ones go first (3.3.1.5)."""

_IDS: Final = rb"(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
_CURRENT: Final = re.compile(rb"00-" + _IDS).fullmatch
_LATER: Final = re.compile(rb"(?!00|ff)[0-9a-f]{2}-" + _IDS).fullmatch
_MEMBER: Final = re.compile(
    rb"[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
).fullmatch


def read_traceparent(value: bytes | None) -> bytes | None:
    """A traceparent of version 00; None where it is malformed. Of a later version what 00 knows of it is read (3.2.4).

    >>> read_traceparent(b"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff-what-comes-later")
    b'00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    """
    if value is None:
        return None
    if _CURRENT(value):
        return value
    known = value[:TRACEPARENT_BYTES]
    if not _LATER(known) or value[TRACEPARENT_BYTES : TRACEPARENT_BYTES + 1] not in (b"", b"-"):
        return None
    return b"00" + known[2:-2] + (b"01" if is_sampled(known) else b"00")


def is_sampled(traceparent: bytes) -> bool:
    """Whether a good traceparent says that its trace is recorded."""
    return bool(int(traceparent[53:TRACEPARENT_BYTES], 16) & 1)


def read_tracestate(values: Sequence[bytes]) -> bytes | None:
    """The tracestate of one or several headers, in their order, at most 512 bytes; None where it is malformed, or empty."""
    if sum(map(len, values)) > _MOST_READ_BYTES:
        return None
    members = [stripped for each in b",".join(values).split(b",") if (stripped := each.strip(b" \t"))]
    if not members or len(members) > _MOST_MEMBERS or not all(map(_MEMBER, members)):
        return None
    if len({member.partition(b"=")[0] for member in members}) < len(members):
        return None
    for keeps_large in (True, False):
        kept = members if keeps_large else [each for each in members if len(each) <= _LARGE_MEMBER_BYTES]
        if len(state := b",".join(kept)) <= MOST_STATE_BYTES:
            return state or None
    while len(state := b",".join(kept)) > MOST_STATE_BYTES:
        kept = kept[:-1]
    return state
