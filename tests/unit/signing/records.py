"""Records as they are read from a topic that bears the broker's time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from streams.signing import Seal, Secret
from topics.control import ControlTopic, control_topics
from topics.names import V1

NOW = 1_700_000_000.0
ONE, TWO, OTHER = (Secret(letter * 32) for letter in "abc")
TOPIC = V1.scaling_decisions
LOG_APPEND_TIME, CREATE_TIME = 1, 0


@dataclass(frozen=True, slots=True)
class Read:
    key: bytes | None = b"workers"
    value: bytes | None = b"{}"
    headers: Sequence[tuple[str, bytes | None]] = (("ce_id", b"1"), ("empty", None))
    offset: int = 5
    timestamp: int = round(NOW * 1000)
    timestamp_type: int = LOG_APPEND_TIME

    def signed(self, seal: Seal, topic: str = TOPIC) -> Read:
        return replace(self, headers=seal.signed(topic, self.key, self.value, self.headers))


def seal_of(
    *secrets: Secret,
    requires: bool = True,
    now: float = NOW,
    lenient: frozenset[str] = frozenset(),
    topics: dict[str, ControlTopic] | None = None,
) -> Seal:
    known = dict(control_topics(V1)) if topics is None else topics
    return Seal(
        known, lambda: secrets or (ONE,), requires=requires, within_s=300, now=lambda: now, lenient=lenient,
        most_remembered=3,
    )  # fmt: skip
