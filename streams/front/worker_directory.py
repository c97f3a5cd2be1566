"""Which worker is asked where a request is: the owner of its partition, as the samples tell. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

KEPT_S: Final = 60.0
"""A worker without a sample for so long is asked no more: six intervals."""
_MOST_WORKERS: Final = 1_000
_MOST_ASKED: Final = 16
"""Workers that are asked where nobody knows the owner."""


@dataclass(slots=True)
class _Worker:
    address: str
    owned: frozenset[int]
    at: float


@dataclass(slots=True)
class Directory:
    """The workers by their samples. Times are Unix seconds."""

    _workers: dict[str, _Worker] = field(default_factory=dict)

    def note(self, worker_id: str, address: str | None, owned: Collection[int], at: float) -> None:
        """A sample came."""
        known = self._workers.get(worker_id)
        if address is None or (known is not None and known.at > at):
            return
        if known is None and len(self._workers) >= _MOST_WORKERS:
            oldest = min(self._workers, key=lambda name: self._workers[name].at)
            del self._workers[oldest]
        self._workers[worker_id] = _Worker(address, frozenset(owned), at)

    def addresses(self, record: str | None, now: float) -> list[str]:
        """Whom to ask of this record (`topic:partition:offset`): its partition's owner, as far as that is known; else some."""
        fresh = sorted((each for each in self._workers.values() if now - each.at < KEPT_S), key=lambda each: -each.at)
        partition = _partition_of(record)
        owners = [each.address for each in fresh if partition in each.owned]
        return owners[:1] or list(dict.fromkeys(each.address for each in fresh))[:_MOST_ASKED]


def _partition_of(record: str | None) -> int:
    parts: Sequence[str] = (record or "").rsplit(":", 2)
    return int(parts[1]) if len(parts) == 3 and parts[1].isascii() and parts[1].isdigit() and len(parts[1]) < 10 else -1
