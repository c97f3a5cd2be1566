"""Which worker is asked where a request is, and what it says. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Final

import orjson

KEPT_S: Final = 60.0
"""A worker without a sample for so long is asked no more: six intervals."""
_MOST_WORKERS: Final = 1_000
_MOST_ASKED: Final = 16
"""Workers that are asked where nobody knows the owner."""
_UNKNOWN: Final = frozenset({"unknown", "elsewhere"})
_MOST_CHARS: Final = 1_000


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


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """What a worker said of a request, as far as its caller may know it: nothing of others' requests."""

    stage: str
    reason: str | None = None
    words: str = ""
    position: int | None = None
    predicted_s: float | None = None
    waited_s: float | None = None
    agent_id: str | None = None

    def public(self) -> dict[str, Any]:
        """For its caller: `where`, `why`, `position` in its queue and `predicted_s`, null where nobody knows."""
        return {
            "where": self.stage,
            "reason": self.reason,
            "why": self.words or None,
            "position": self.position,
            "predicted_s": self.predicted_s,
            "waited_s": self.waited_s,
        }

    def comment(self) -> bytes:
        """For a line of server-sent events.

        >>> Whereabouts("queue", "provider_limit", position=12, predicted_s=4.13).comment()
        b': waiting stage=queue reason=provider_limit position=12 predicted_s=4.1\\n\\n'
        """
        told = {"stage": self.stage, "reason": self.reason, "position": self.position}
        told["predicted_s"] = None if self.predicted_s is None else f"{self.predicted_s:.1f}"
        words = " ".join(f"{name}={value}" for name, value in told.items() if value is not None)
        return b": waiting " + words.encode("ascii", "replace").replace(b"\n", b" ").replace(b"\r", b" ") + b"\n\n"


def read_whereabouts(body: bytes, asked: int) -> list[Whereabouts | None]:
    """A worker's answer to that many questions; None for those of which it knows nothing. Raises ValueError for anything else."""
    found = orjson.loads(body)
    if not isinstance(found, list) or len(found) != asked:
        raise ValueError("not one answer for each question")
    return [_read(each) for each in found]


def _read(told: Any) -> Whereabouts | None:
    if not isinstance(told, dict):
        raise ValueError("an answer is no object")
    stage = _text(told.get("stage"))
    if stage is None or stage in _UNKNOWN:
        return None
    position = told.get("position")
    return Whereabouts(
        stage,
        _text(told.get("reason")),
        _text(told.get("words")) or "",
        position if type(position) is int and 0 < position < 2**53 else None,
        _seconds(told.get("predicted_s")),
        _seconds(told.get("waited_s")),
        _text(told.get("agent_id")),
    )


def _text(value: Any) -> str | None:
    return value[:_MOST_CHARS] if isinstance(value, str) else None


def _seconds(value: Any) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and isfinite(value) and value >= 0 else None


def _partition_of(record: str | None) -> int:
    parts: Sequence[str] = (record or "").rsplit(":", 2)
    return int(parts[1]) if len(parts) == 3 and parts[1].isascii() and parts[1].isdigit() and len(parts[1]) < 10 else -1
