"""Which request holds an idempotency key, by the order of the log. Pure.

Every front reads the same claims in the same order, so all of them agree on who was first, also where two write at the same
moment.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from schemas.claim import Claim

KEEP_S: Final = 86_400.0
"""A key is free again after a day: so long answers are kept on the fronts' topic."""


@dataclass(frozen=True, slots=True)
class _Held:
    request_id: str
    body: bytes
    until: float
    read_at: float


class Claims:
    """At most `most` keys; the oldest are forgotten first. Times are the records', Unix seconds; `read_at` by another clock."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: OrderedDict[bytes, _Held] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def clear(self) -> None:
        self._held.clear()

    def note(self, scope: bytes, claim: Claim, at: float, read_at: float = 0.0) -> None:
        """Take the next record of the log."""
        held = self._held.get(scope)
        if held is not None and held.until > at and held.request_id != claim.after:
            return
        self._held[scope] = _Held(claim.request_id, bytes.fromhex(claim.body), at + KEEP_S, read_at)
        self._held.move_to_end(scope)
        if len(self._held) > self._most:
            self._held.popitem(last=False)

    def holder(self, scope: bytes, now: float) -> tuple[str, bytes] | None:
        """The request that holds the key, and the hash of its body; None: the key is free."""
        held = self._held.get(scope)
        return None if held is None or held.until <= now else (held.request_id, held.body)

    def read_at(self, scope: bytes) -> float | None:
        """When the claim that holds the key was read; None: there is none."""
        held = self._held.get(scope)
        return None if held is None else held.read_at


def scope_of(caller: str, key: str) -> bytes:
    """The record's key of a claim: two callers' keys are never the same one. Neither can be read from it."""
    return hashlib.sha256(f"{len(caller)}:{caller}{key}".encode()).hexdigest().encode()


NO_BODY: Final = bytes(32)
"""The hash of a claim that is a mark, and no key's."""


def deletion_of(request_id: str) -> bytes:
    """The record's key of the mark that an answer is deleted. No caller's claim can have it: theirs begin with a length."""
    return hashlib.sha256(f"deleted:{request_id}".encode()).hexdigest().encode()


def body_of(api: str, body: bytes) -> bytes:
    """A hash of what was asked: of which API, and the body as it came."""
    return hashlib.sha256(api.encode() + b"\0" + body).digest()
