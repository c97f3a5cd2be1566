"""Following a topic: which records, and each as a line."""

import heapq
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from ops.admin.metric_lines import describe
from ops.admin.records import open_reader, partitions_of, read_until
from streams.kafka.list_offsets import begin_offsets, end_offsets
from streams.redaction import Rules

_POLL_MS: Final = 200
_CUT: Final = "…"
AS_IT_IS: Final = Rules()


@dataclass(frozen=True, slots=True)
class TailOptions:
    """Which records of a topic: all that are there, the newest `last`, or only new ones; and then, or not, what comes."""

    topic: str
    from_beginning: bool = False
    last: int | None = None
    key: bytes | None = None
    follow: bool = True


async def tail(client_options: Mapping[str, Any], options: TailOptions) -> AsyncGenerator[Any, None]:
    """The records as aiokafka gives them; old ones with `last` by timestamp, others as they come. Raises ProvisionError."""
    async with open_reader(client_options) as consumer:
        partitions = await partitions_of(consumer, [options.topic])
        ends = await end_offsets(consumer, partitions)
        async for record in _old(consumer, partitions, ends, options):
            yield record
        if not options.follow:
            return
        consumer.assign(partitions)
        for partition, offset in ends.items():
            consumer.seek(partition, offset)
        while True:
            for records in (await consumer.getmany(timeout_ms=_POLL_MS)).values():
                for record in records:
                    if _wanted(record, options.key):
                        yield record


async def _old(
    consumer: AIOKafkaConsumer,
    partitions: Sequence[TopicPartition],
    ends: Mapping[TopicPartition, int],
    options: TailOptions,
) -> AsyncIterator[Any]:
    if not options.from_beginning and options.last is None:
        return
    begins = await begin_offsets(consumer, partitions)
    if options.last is not None and options.key is None and not options.from_beginning:
        # The newest of all are among the newest of each partition; one key's may be anywhere.
        begins = {partition: max(begins[partition], ends[partition] - options.last) for partition in partitions}
    newest: list[tuple[int, int, int, Any]] = []
    async for record in read_until(consumer, begins, ends):
        if not _wanted(record, options.key):
            continue
        if options.last is None:
            yield record
            continue
        heapq.heappush(newest, (record.timestamp, record.partition, record.offset, record))
        if len(newest) > options.last:
            heapq.heappop(newest)
    for *_, record in sorted(newest, key=lambda each: each[:3]):
        yield record


def _wanted(record: Any, key: bytes | None) -> bool:
    return key is None or record.key == key


def as_line(record: Any, width: int, rules: Rules = AS_IT_IS) -> str:
    """A record on one line for people: time, partition:offset, key, value; `width` characters of the value at most, by `rules`.

    Of a metric its figures are shown instead.
    """
    found = b"(no value)" if record.value is None else rules.value(record.value)[0] or b""
    value = describe(record.topic, found) or printable(found, width)
    key = "-" if record.key is None else printable(record.key, 64)
    return f"{when(record.timestamp)}  {record.partition}:{record.offset}  {key}  {value}"


def as_object(record: Any, rules: Rules = AS_IT_IS) -> dict[str, Any]:
    """A record for programs: the value as JSON where it is JSON, else as text, else as base64 (`value_base64`); by `rules`."""
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp_ms": record.timestamp,
        "key": None if record.key is None else record.key.decode(errors="replace"),
        "headers": [[name, rules.header(value or b"").decode(errors="replace")] for name, value in record.headers],
        **value_fields(rules.value(record.value)[0]),
    }


def value_fields(value: bytes | None) -> dict[str, Any]:
    """The value of a record as JSON fields; nothing is lost."""
    if value is None:
        return {"value": None}
    try:
        return {"value": orjson.loads(value)}
    except orjson.JSONDecodeError:
        pass
    try:
        return {"value": value.decode()}
    except UnicodeDecodeError:
        import base64

        return {"value_base64": base64.b64encode(value).decode()}


def printable(raw: bytes, width: int) -> str:
    """Bytes as text on one line that cannot steer a terminal, at most `width` characters of it.

    >>> printable(b'{"a":\\n1}', 20), printable(b"\\x1b[2J" + b"x" * 9, 10)
    ('{"a": 1}', '\\\\x1b[2Jxx…')
    """
    text = raw[: width * 4 + 4].decode("utf-8", "backslashreplace")
    clean = "".join(
        c if c.isprintable() else " " if c in "\r\n\t" else c.encode("unicode_escape").decode() for c in text
    )
    return clean if len(clean) <= width else clean[: width - 1] + _CUT


def when(timestamp_ms: int) -> str:
    """A record's time as RFC 3339 in UTC."""
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
