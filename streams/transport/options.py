"""What the transport needs to know, in aiokafka's words; streams/app.py makes it from the settings."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from streams.heartbeat import Heartbeat
from streams.transport.flow import Quota


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """Options of one worker's transport.

    `topics` are served in their order, those of one class (`class_of`) in turns. `consumer` holds keyword arguments of
    AIOKafkaConsumer.
    """

    topics: Sequence[str]
    consumer: Mapping[str, Any]
    partition_quota: Quota
    class_quota: Quota
    heartbeat: Heartbeat
    """Of the consumer's membership in its group; kept up to date by the transport."""
    class_of: Mapping[str, str] = field(default_factory=dict)
    """By which of its topics a class is known; a topic that is not in it is a class by itself."""
    commit_due: asyncio.Event = field(default_factory=asyncio.Event)
    """Set where a commit should not wait for its interval."""
    commit_interval_s: float = 1.0
    commit_delay_after_call_s: float = 0.05
    records_a_list: int = 500
    """Longest list: one list keeps the event loop for its length (about 10 us a record)."""
    records_a_poll: int = 2_000
    most_unpacked_bytes: int = 16 * 2**20
    """Of one batch; one that holds more is set aside."""
    corrupt_batches_aside: bool = False
    """Whether a batch that is corrupt in two fetches is set aside; else its partition is held."""
    fetches_plainly: bool = False
    """Whether records come by aiokafka's public interface alone."""
