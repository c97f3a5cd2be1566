"""Reply topics that are a caller's own and do not take answers: how long they are waited for, and when they are tried again.

The rule (docs/contract.md, docs/decisions/0030-reply-topics-that-take-nothing.md): a topic has `topics.reply_patience` to mend
itself. After that its answers are given up, and requests that name it are refused before they cost anything; when as much time
again has passed, one is tried. Time in which the cluster says nothing at all does not count against the topic.

While a topic is in trouble no request partition is held for it. So that its answers do not fill the quotas of partitions that
others use too, only so many may wait; what is more is given up at once.

Pure: `now` is monotonic time in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

GRACE_S: Final = 5.0
"""A leader that moves takes up to some seconds: until then nothing is said, and nothing is given up for what else waits."""
_REFUSALS: Final = 10
"""So many records in a row, each refused by itself, and the topic refuses them all."""


@dataclass(slots=True)
class _Trouble:
    since: float
    refused_until: float = 0.0
    refusals: int = 0
    """Records in a row that it refused for what they are."""


@dataclass(slots=True)
class ReplyTroubles:
    """The topics in trouble."""

    patience_s: float
    most_waiting: int
    """Answers that may wait for topics in trouble, all of them together."""
    _troubles: dict[str, _Trouble] = field(default_factory=dict)
    _acked_at: float = 0.0

    def __bool__(self) -> bool:
        return bool(self._troubles)

    def __contains__(self, topic: str) -> bool:
        return topic in self._troubles

    def acked(self, topic: str, now: float) -> bool:
        """The cluster took something for this topic; whether the topic had been in trouble."""
        self._acked_at = now
        return self._troubles.pop(topic, None) is not None

    def failed(self, topic: str, now: float, *, told: bool) -> float:
        """It did not take something. Seconds for which it has been in trouble.

        `told`: a broker or the cluster's metadata said so, and not a connection that failed.
        """
        trouble = self._troubles.setdefault(topic, _Trouble(now))
        if not told and self._acked_at <= trouble.since and not trouble.refused_until:
            trouble.since = now  # the cluster is away, for everybody
        return now - trouble.since

    def is_over(self, topic: str, now: float, *, refused: bool = False) -> bool:
        """Whether the topic has had its time, or has refused (as it does now) enough records in a row to refuse them all."""
        trouble = self._troubles.get(topic)
        if trouble is None:
            return False
        trouble.refusals = trouble.refusals + 1 if refused else 0
        return now - trouble.since >= self.patience_s or trouble.refusals >= _REFUSALS

    def left_s(self, topic: str, now: float) -> float:
        """Seconds that the topic still has."""
        trouble = self._troubles.get(topic)
        return self.patience_s if trouble is None else max(0.0, trouble.since + self.patience_s - now)

    def gave_up(self, topic: str, now: float) -> None:
        """Its answers were given up."""
        self._troubles[topic].refused_until = now + self.patience_s

    def refuses(self, topic: str, now: float) -> bool:
        """Whether requests that name the topic are not worth a call now."""
        trouble = self._troubles.get(topic)
        return trouble is not None and now < trouble.refused_until

    def is_full(self, topic: str, waiting: int, now: float) -> bool:
        """Whether a further answer to a topic in trouble is too much, with so many that wait already."""
        trouble = self._troubles.get(topic)
        return trouble is not None and now - trouble.since >= GRACE_S and waiting >= self.most_waiting
