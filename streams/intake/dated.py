"""Records of a topic that bears the producer's time (`CreateTime`) and not the broker's, with a time that can be counted from.

Limits count from a record's timestamp. The contract's topics bear the broker's; a topic that somebody made by hand, or that a
mirror fills, may bear whatever a client's clock says. Clients that give it in seconds or microseconds are many
(apache/kafka#4473, confluentinc/librdkafka#1238). Such a time is believed as long as it may be true; else the record counts as
received when it is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from streams.transport.offsets import Record

_LOG_APPEND_TIME: Final = 1
_BELIEVED_S: Final = 86_400.0
"""A day: what lies further back is no wait, but a clock that was never set, or another unit."""


@dataclass(frozen=True, slots=True)
class DatedRecord:
    """A record with another timestamp than it came with."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


def dated(records: Sequence[Record], now: float) -> Sequence[Record]:
    """The records, those with an unlikely producer's time dated `now` (Unix seconds)."""
    if not records or getattr(records[0], "timestamp_type", _LOG_APPEND_TIME) == _LOG_APPEND_TIME:
        return records  # it is the topic's setting
    least, most = (now - _BELIEVED_S) * 1000, now * 1000
    return [
        record
        if record.timestamp is not None and least <= record.timestamp <= most  # None: from before Kafka 0.10
        else DatedRecord(record.offset, int(most), record.key, record.value, record.headers)
        for record in records
    ]
