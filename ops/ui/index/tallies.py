"""Counts that are kept while records come in, so that no page counts by looking: requests by minute and status, dead letters by
kind, what waits by partition. In memory, beside what is written of them. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final

from ops.ui.index import codes, keys
from ops.ui.index.change import Change
from ops.ui.index.keys import dead_key

MOST_KINDS: Final = 1_000
"""Kinds of dead letters that are told apart in a bucket; more are counted without their provider, whose name is a stranger's."""
_NO_PROVIDER: Final = bytes(4)
_TALLY: Final = Struct(">IQQ")


@dataclass(slots=True)
class Tally:
    """Dead letters of one kind in a bucket, and where the newest of them was."""

    count: int
    time_ms: int
    place: int

    def encode(self) -> bytes:
        return _TALLY.pack(min(max(0, self.count), 2**32 - 1), self.time_ms, self.place)


class Tallies:
    """`by_status[bucket]`: requests by status. `letters[bucket][kind]`. `waiting`: by class, tenant and partition (places without
    their offsets).
    """

    def __init__(self) -> None:
        self.by_status: dict[int, list[int]] = {}
        self.letters: dict[int, dict[bytes, Tally]] = {}
        self.waiting: Counter[int] = Counter()

    # ---- as they are read at the start

    def read_minute(self, minute: int, counts: Sequence[int]) -> None:
        self._count(minute, counts)

    def read_letters(self, key: bytes, value: bytes) -> None:
        bucket, kind = int.from_bytes(key[1:5], "big"), key[5:]
        self.letters.setdefault(bucket, {})[kind] = Tally(*_TALLY.unpack(value))

    # ---- what changes them

    def note(self, change: Change) -> None:
        """What a batch that was written changed. Its letters are noted before, see `letters_of`."""
        for minute, more in change.counts.items():
            self._count(minute, more)
        self.waiting.update(change.waiting)

    def letters_of(self, change: Change) -> Iterator[tuple[bytes, bytes]]:
        """Counts of dead letters with what a batch changes, as they are written with it."""
        for (bucket, kind), more in change.letters.items():
            held = self.letters.setdefault(bucket, {})
            if kind not in held and len(held) >= MOST_KINDS:
                kind = kind[:4] + _NO_PROVIDER
            tally = held.setdefault(kind, Tally(0, 0, 0))
            tally.count += more.more
            tally.time_ms, tally.place = max((tally.time_ms, tally.place), more.newest)
            yield dead_key(bucket, kind), tally.encode()

    def drop(self, bucket: int) -> int:
        """Forget a bucket; how many requests it had."""
        self.letters.pop(bucket, None)
        return sum(self.by_status.pop(bucket))

    # ---- what is asked of them

    def buckets_with(self, statuses: Iterable[int]) -> list[int]:
        """Buckets that have requests of one of these statuses, the newest first. Others have deleted keys of them at most."""
        wanted = list(statuses)
        held = self.by_status.copy()  # another thread writes
        return sorted((each for each, counts in held.items() if any(counts[one] > 0 for one in wanted)), reverse=True)

    def _count(self, minute: int, more: Sequence[int]) -> None:
        bucket = minute >> keys.BUCKET_BITS - keys.MINUTE_BITS
        counts = self.by_status.setdefault(bucket, [0] * len(codes.STATUSES))
        for status, number in enumerate(more):
            counts[status] += number
