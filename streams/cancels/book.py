"""Which requests are cancelled. Pure.

A cancel is remembered, because the request may come after it: from a lagging partition, or again after its worker has died. It
names a request by its id, and by its agent or its record or both; by the id alone only where the answer goes to the fronts, whose
ids cannot be guessed. Whoever may write to the topic may cancel what it can name, whatever else its record says.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from schemas.cancel import Cancel
from streams.pipeline import PendingRequest

MOST: Final = 20_000
"""Cancels that are remembered; of more, the newest. 500 bytes each, 1.5 KB with the longest names."""
KEPT_S: Final = 3600.0
"""As long as the topic keeps them, and as a request may take (`requests.max_timeout`)."""

_Name = tuple[str | None, bytes | None]
"""Agent and record, None where the cancel does not say."""


class CancelBook:
    """The cancels of the last hour. `front_topic`: where answers to requests go that may be named by their id alone.

    Times are seconds of one clock, those of `note` in any order.
    """

    def __init__(self, front_topic: str, most: int = MOST, kept_s: float = KEPT_S) -> None:
        self._front_topic = front_topic
        self._most = most
        self._kept_s = kept_s
        self._named: dict[str, dict[_Name, str | None]] = {}
        self._order: deque[tuple[float, str, _Name]] = deque()

    def __len__(self) -> int:
        return len(self._order)

    def note(self, cancel: Cancel, at: float, now: float) -> bool:
        """Remember a cancel of that moment. False where it is over, or is remembered already."""
        self.forget(now)
        at = min(at, now)
        name = (cancel.agent_id, None if cancel.record is None else cancel.record.encode())
        if at + self._kept_s <= now or name in self._named.get(cancel.request_id, ()):
            return False
        if len(self._order) >= self._most:
            self._drop_first()
        self._named.setdefault(cancel.request_id, {})[name] = cancel.reason
        self._order.append((at, cancel.request_id, name))
        return True

    def forget(self, now: float) -> None:
        """Drop what is too old."""
        while self._order and self._order[0][0] + self._kept_s <= now:
            self._drop_first()

    def finds(self, request: PendingRequest) -> str | None:
        """Why the request was cancelled, empty where nobody said; None where it was not. 0.1 us where its id is unknown."""
        named = self._named.get(request.request_id)
        if named is None:
            return None
        names: list[_Name] = [
            (request.agent_id, request.event_id),
            (request.agent_id, None),
            (None, request.event_id),
        ]
        if request.reply_topic == self._front_topic:
            names.append((None, None))
        for name in names:
            if name in named:
                return named[name] or ""
        return None

    def _drop_first(self) -> None:
        _, request_id, name = self._order.popleft()
        named = self._named[request_id]
        del named[name]
        if not named:
            del self._named[request_id]
