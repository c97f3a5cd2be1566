"""An answer so far, of the deltas of one request as they stand on the log. Pure.

As their readers do (docs/contract.md), it takes the deltas of an epoch in their order up to the first that is missing, and a
later epoch in place of an earlier one where that has told something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.delta import chunks_of
from streams.kept import Kept, Upstream, further
from topics.headers import EPOCH, SEQ, UPSTREAM, UPSTREAM_SEQ


@dataclass(slots=True)
class Gathered:
    """Deltas are given in the order of the log."""

    _told: Kept | None = None
    _now: Kept = field(default_factory=Kept)
    _epoch: int = -1
    _next_seq: int = 0
    _lost: bool = False

    def take(self, headers: Mapping[str, bytes], value: bytes) -> None:
        """One delta; what is none is passed over."""
        try:
            epoch, seq = int(headers[EPOCH]), int(headers[SEQ])
        except (KeyError, ValueError):
            return
        if epoch < self._epoch:
            return
        if epoch > self._epoch:
            self._told = self._so_far()
            self._now, self._epoch, self._next_seq, self._lost = Kept(), epoch, 0, False
        if self._lost or seq < self._next_seq:
            return
        self._lost = seq > self._next_seq
        if self._lost:
            return
        try:
            chunks = chunks_of(value)
        except ValueError:
            self._lost = True
            return
        self._next_seq += 1
        for chunk in chunks:
            self._now.take(chunk)
        self._now.upstream = Upstream.read(headers.get(UPSTREAM)) or self._now.upstream
        number = headers.get(UPSTREAM_SEQ, b"")
        self._now.after = int(number) if number.isdigit() else None

    def _so_far(self) -> Kept | None:
        return self._told if self._epoch < 0 else further(self._told, self._now)

    def kept(self) -> Kept | None:
        """The answer so far; None where nothing was told, or where it does not say by whom."""
        found = self._so_far()
        return found if found is not None and found.upstream is not None else None
