"""What a worker says of a request that is not answered yet (where it is, why it waits, its place, how long yet), and as a comment
of server-sent events. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

import orjson

_UNKNOWN: Final = frozenset({"unknown", "elsewhere"})
_MOST_CHARS: Final = 1_000


@dataclass(frozen=True, slots=True)
class RequestState:
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

        >>> RequestState("queue", "provider_limit", position=12, predicted_s=4.13).comment()
        b': waiting stage=queue reason=provider_limit position=12 predicted_s=4.1\\n\\n'
        """
        told = {"stage": self.stage, "reason": self.reason, "position": self.position}
        told["predicted_s"] = None if self.predicted_s is None else f"{self.predicted_s:.1f}"
        words = " ".join(f"{name}={value}" for name, value in told.items() if value is not None)
        return b": waiting " + words.encode("ascii", "replace").replace(b"\n", b" ").replace(b"\r", b" ") + b"\n\n"


def read_request_states(body: bytes, asked: int) -> list[RequestState | None]:
    """A worker's answer to that many questions; None for those of which it knows nothing. Raises ValueError for anything else."""
    found = orjson.loads(body)
    if not isinstance(found, list) or len(found) != asked:
        raise ValueError("not one answer for each question")
    return [_read(each) for each in found]


def _read(told: Any) -> RequestState | None:
    if not isinstance(told, dict):
        raise ValueError("an answer is no object")
    stage = _text(told.get("stage"))
    if stage is None or stage in _UNKNOWN:
        return None
    position = told.get("position")
    return RequestState(
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
