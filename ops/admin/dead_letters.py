"""Dead letters: found, shown, and sent back to where they came from.

A dead letter is the original record, untouched, plus headers that say why it was given up. Sending it back is the
original again: key, value and headers without those that were added.
"""

import heapq
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition

from ops.admin.records import open_reader, open_writer, partitions_of, read_until
from ops.admin.tail import printable, value_fields, when
from schemas import limits
from schemas.dead_letter import ADDED, DeadLetter
from streams.errors import HeadraceError
from streams.kafka.list_offsets import begin_offsets, end_offsets
from topics.headers import DLQ_REDACTED
from topics.names import TopicNames


class NoTenantError(HeadraceError):
    """A tenant that the settings do not have."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters: those at `positions` (partition, offset), else all that fit the filters."""

    positions: frozenset[tuple[int, int]] = frozenset()
    reason: str | None = None
    topic: str | None = None
    error_type: str | None = None
    since_ms: int | None = None
    """Dead since this moment, milliseconds since 1970."""
    tenant: str = ""
    """Of this tenant's topic of dead letters; empty: of the common one."""

    def holds(self, found: "Found") -> bool:
        if self.positions:
            return (found.partition, found.offset) in self.positions
        letter = found.letter
        wanted = (("reason", "dlq_reason"), ("topic", "dlq_topic"), ("error_type", "dlq_error_type"))
        return all(
            getattr(self, name) is None or (letter is not None and getattr(letter, header) == getattr(self, name))
            for name, header in wanted
        )


@dataclass(frozen=True, slots=True)
class Found:
    """A record of the dead-letter topic. `letter` is None where its headers are not what a dead letter's should be."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    letter: DeadLetter | None
    tenant: str = ""
    """Whose topic of dead letters it was on."""

    @property
    def position(self) -> str:
        return f"{self.partition}:{self.offset}"

    @property
    def origin(self) -> str:
        """`topic:partition:offset` of the original."""
        letter = self.letter
        return "?" if letter is None else f"{letter.dlq_topic}:{letter.dlq_partition}:{letter.dlq_offset}"

    def summary(self) -> dict[str, Any]:
        """What a list shows of it, for programs: all but headers and value."""
        letter = self.letter
        return {
            "position": self.position,
            "died_at": when(self.timestamp_ms),
            "reason": letter.dlq_reason if letter else None,
            "stage": letter.dlq_stage if letter else None,
            "error_type": letter.dlq_error_type if letter else None,
            "error_message": letter.dlq_error_message if letter else None,
            "attempts": letter.dlq_attempts if letter else None,
            "origin": self.origin,
            "sent_at": when(letter.dlq_timestamp) if letter else None,
            "key": None if self.key is None else printable(self.key, limits.ID_CHARS),
            "value_bytes": None if self.value is None else len(self.value),
        }

    def details(self) -> dict[str, Any]:
        """All of it, for programs."""
        headers = [[name, value.decode(errors="replace")] for name, value in self.headers]
        return {**self.summary(), "headers": headers, **value_fields(self.value)}


async def newest(client_options: Mapping[str, Any], names: TopicNames, selection: Selection, count: int) -> list[Found]:
    """The newest `count` of the selected, the newest first. Raises ProvisionError."""
    kept: list[tuple[int, int, int, Found]] = []
    at_most = count if selection == Selection() else None
    async with aclosing(find(client_options, names, selection, at_most)) as letters:
        async for found in letters:
            heapq.heappush(kept, (found.timestamp_ms, found.partition, found.offset, found))
            if len(kept) > count:
                heapq.heappop(kept)
    return [found for *_, found in sorted(kept, key=lambda each: each[:3], reverse=True)]


async def find(
    client_options: Mapping[str, Any], names: TopicNames, selection: Selection, newest_of_each: int | None = None
) -> AsyncGenerator[Found, None]:
    """The selected dead letters that are there now, in the order of each partition. Raises ProvisionError, NoTenantError.

    `newest_of_each` reads no more than the newest so many offsets of each partition.
    """
    async with open_reader(client_options) as consumer:
        partitions = await partitions_of(consumer, [_topic(names, selection.tenant)])
        ends = await end_offsets(consumer, partitions)
        begins = await _begins(consumer, partitions, ends, selection)
        if newest_of_each is not None:
            begins = {each: max(offset, ends[each] - newest_of_each) for each, offset in begins.items()}
        async for record in read_until(consumer, begins, ends):
            found = _read(record, selection.tenant)
            if selection.holds(found):
                yield found


def _topic(names: TopicNames, tenant: str) -> str:
    if tenant and tenant not in names.tenants:
        raise NoTenantError(f"there is no tenant {tenant!r}: {', '.join(names.tenants) or 'the settings have none'}")
    return names.dead_letters_of(tenant)


def why_not(found: Found, names: TopicNames) -> str | None:
    """Why a dead letter cannot be sent back, or None."""
    if found.letter is None:
        return "its headers do not say where it came from"
    if any(name == DLQ_REDACTED for name, _ in found.headers):
        return "something was taken out of it (redaction)"
    if found.letter.dlq_topic not in names.requests:
        return f"it came from {found.letter.dlq_topic}, which is no request topic"
    if names.request_topics[found.letter.dlq_topic].tenant != found.tenant:
        return f"it says that it came from {found.letter.dlq_topic}, whose dead letters are on another topic"
    if found.key is None and found.value is None:
        return "it has neither a key nor a value, which producers do not send"
    return None


@dataclass(slots=True)
class Sender:
    """Sends originals again; one that was sent is not sent a second time."""

    producer: AIOKafkaProducer
    names: TopicNames
    _done: set[tuple[int, int]] = field(default_factory=set)

    async def send(self, found: Found) -> str | None:
        """Send the original to its topic; gives its new `topic:partition:offset`, None if it was sent before.

        The partition is that of its key, as for any producer of the contract. Raises ValueError
        (`why_not`), KafkaError.
        """
        reason = why_not(found, self.names)
        if reason is not None or found.letter is None:
            raise ValueError(f"{found.position} cannot be sent back: {reason}")
        at = (found.partition, found.offset)
        if at in self._done:
            return None
        self._done.add(at)
        headers = [(name, value) for name, value in found.headers if name not in ADDED]
        record = await self.producer.send_and_wait(found.letter.dlq_topic, found.value, found.key, headers=headers)
        return f"{record.topic}:{record.partition}:{record.offset}"


@asynccontextmanager
async def open_sender(client_options: Mapping[str, Any], names: TopicNames) -> AsyncIterator[Sender]:
    """A sender on a producer of its own. Raises ProvisionError where the broker does not answer or a topic is missing."""
    async with open_reader(client_options) as consumer:
        await partitions_of(consumer, names.requests)
    async with open_writer(client_options) as producer:
        yield Sender(producer, names)


async def _begins(
    consumer: AIOKafkaConsumer,
    partitions: list[TopicPartition],
    ends: Mapping[TopicPartition, int],
    selection: Selection,
) -> dict[TopicPartition, int]:
    """Where to begin reading: no earlier than the selection needs."""
    firsts: dict[TopicPartition, int] = await begin_offsets(consumer, partitions)
    if selection.positions:
        wanted: dict[int, int] = {}
        for partition, offset in selection.positions:
            wanted[partition] = min(offset, wanted.get(partition, offset))
        return {each: max(firsts[each], wanted[each.partition]) for each in partitions if each.partition in wanted}
    if selection.since_ms is not None:
        found = await consumer.offsets_for_times(dict.fromkeys(partitions, selection.since_ms))
        return {each: found[each].offset if found.get(each) else ends[each] for each in partitions}
    return firsts


def _read(record: Any, tenant: str) -> Found:
    headers = tuple((name, bytes(value or b"")) for name, value in record.headers)
    try:
        letter = DeadLetter.from_headers(headers)
    except ValueError:
        letter = None
    return Found(record.partition, record.offset, record.timestamp, record.key, record.value, headers, letter, tenant)
