"""Which records of control topics count. Pure: times are given or come from `now`.

    off      nothing is signed or verified
    accept   what is written is signed; a record without a signature counts, one with a wrong signature does not
    require  only what is signed counts

A true record that somebody writes again, later, is known by its time: the topics bear the broker's time, which no writer sets,
and the signature says when it was made. Within that time a topic's own numbers say what is old; where it has none (`once`),
signatures are remembered, with the offset of the record that bore it first: a reader may read the same record twice.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, Literal

from streams.signing.signature import SIGNATURE, Headers, Secret, Signature, holds, sign
from topics.control import ControlTopic

Mode = Literal["off", "accept", "require"]

MOST_REMEMBERED: Final = 20_000
"""Signatures of one reader, of topics where each counts once; of more, the newest. 250 bytes each."""
_LOG_APPEND_TIME: Final = 1


class Refusal(StrEnum):
    """Why a record does not count."""

    TOO_LARGE = "larger than a record of this topic may be"
    UNSIGNED = "not signed"
    MALFORMED = "its signature is none"
    UNKNOWN_SIGNER = "signed with another secret"
    WRONG = "its signature is of another record"
    LATE = "signed at another time than it was written; a clock may be wrong"
    AGAIN = "written again"


class Seal:
    """Signs and verifies for one client.

    Args:
        topics: the control topics. Records of other topics are none of its business.
        secrets: those that hold now, the first of which signs; at least one.
        lenient: topics on which unsigned records count, whatever the mode says.
        within_s: how far the time of signing may be from the broker's time of the record.
        now: Unix seconds.
    """

    def __init__(
        self,
        topics: Mapping[str, ControlTopic],
        secrets: Callable[[], Sequence[Secret]],
        *,
        requires: bool,
        within_s: float,
        now: Callable[[], float],
        lenient: frozenset[str] = frozenset(),
        most_remembered: int = MOST_REMEMBERED,
    ) -> None:
        self._topics = topics
        self._secrets = secrets
        self._requires = requires
        self._lenient = lenient
        self._within_ms = within_s * 1000
        self._now = now
        self._most_remembered = most_remembered
        self._seen: OrderedDict[bytes, tuple[int, int]] = OrderedDict()
        """By signature, the partition and the offset at which it was seen first."""

    @property
    def topics(self) -> Collection[str]:
        """The control topics."""
        return self._topics.keys()

    def covers(self, topic: str) -> bool:
        """Whether it is a control topic."""
        return topic in self._topics

    def signed(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers | None) -> Headers:
        """The headers to write; those of a topic that is none of ours as they are."""
        if topic not in self._topics:
            return headers or []
        given = [header for header in headers or () if header[0] != SIGNATURE]
        return [*given, sign(self._secrets()[0], topic, key, value, given, round(self._now() * 1000))]

    def refusal(self, topic: str, partition: int, record: Any) -> Refusal | None:
        """Why a record that was read does not count; None where it does. Costs no more than a bounded hash."""
        rules = self._topics.get(topic)
        if rules is None:
            return None
        if len(record.value or b"") + len(record.key or b"") > rules.most_bytes:
            return Refusal.TOO_LARGE
        others: list[tuple[str, bytes | None]] = []
        found: list[bytes | None] = []
        for header in record.headers:
            if header[0] == SIGNATURE:
                found.append(header[1])
            else:
                others.append(header)
        if not found:
            return Refusal.UNSIGNED if self._requires and topic not in self._lenient else None
        signature = Signature.read(found[0]) if len(found) == 1 else None
        if signature is None:
            return Refusal.MALFORMED
        secret = next((each for each in self._secrets() if each.id == signature.secret_id), None)
        if secret is None:
            return Refusal.UNKNOWN_SIGNER
        if not holds(secret, signature, topic, record.key, record.value, others):
            return Refusal.WRONG
        if record.timestamp_type == _LOG_APPEND_TIME and abs(record.timestamp - signature.at_ms) > self._within_ms:
            return Refusal.LATE
        return Refusal.AGAIN if rules.once and self._was_seen(signature.mac, partition, record.offset) else None

    def _was_seen(self, mac: bytes, partition: int, offset: int) -> bool:
        """Whether another record before this one bore it."""
        first = self._seen.setdefault(mac, (partition, offset))
        if first == (partition, offset):
            self._seen.move_to_end(mac)
            if len(self._seen) > self._most_remembered:
                self._seen.popitem(last=False)
            return False
        if first[0] == partition and offset < first[1]:  # reading began again, further back
            self._seen[mac] = (partition, offset)
            return False
        return True
