"""What a worker knows of a record by its place on the log alone: whether it was read, and what keeps it from being read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiokafka.structs import TopicPartition

from streams.transport.flow import Flow
from streams.transport.offsets import PartitionOffsets
from streams.waits import Reason, RecordState
from topics.names import Priority

_ELSEWHERE: Final = RecordState("elsewhere")


def record_state(
    record: str,
    partitions: Mapping[TopicPartition, PartitionOffsets],
    flow: Flow,
    priorities: Mapping[str, Priority],
) -> RecordState | None:
    """Of the record `topic:partition:offset`; None where that names none of a request topic."""
    topic, _, place = record.partition(":")
    number, _, offset_text = place.partition(":")
    priority = priorities.get(topic)
    if priority is None or not (_is_number(number) and _is_number(offset_text)):
        return None
    partition, offset = TopicPartition(topic, int(number)), int(offset_text)
    found = partitions.get(partition)
    if found is None:
        return _ELSEWHERE
    if found.position is not None and offset < found.position:
        state = found.state_of(offset)
        if state is None or state == "finished":
            return RecordState("finished", priority=priority)
        return RecordState("taken" if state == "started" else "received", priority=priority)
    ahead = offset - (found.position or 0)
    why = flow.why_closed(partition)
    quotas: dict[str | None, Reason] = {None: "reading", "partition": "partition_full", "class": "class_full"}
    reason = quotas.get(why, "partition_held")
    detail = why if reason == "partition_held" and why is not None else ""
    own = sum(1 for key in partitions if key[0] == topic)
    return RecordState("unread", ahead, reason, detail, own, priority)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 19
