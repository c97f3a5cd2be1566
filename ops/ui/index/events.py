"""What one record says of a request: read out of a record of a request, answer or dead-letter topic. Pure.

Values are strangers': whatever they hold, an event comes of it or nothing. A request that cannot be read is still one: it has a
place and an agent by its key.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import orjson

from ops.ui.index import codes
from ops.ui.index.keys import MOST_TIME_MS
from ops.ui.index.row import place_of, read_place
from schemas.dead_letter import DeadLetter
from schemas.limits import ID_CHARS, MODEL_CHARS
from streams.kafka.records import Record
from topics.headers import CE_ID
from topics.names import TopicNames

_MOST_MS: Final = 2**32 / 10


class Asked(NamedTuple):
    """A request was read."""

    place: int
    time_ms: int
    request_id: str
    agent_id: str
    model: str
    request_bytes: int


class Answered(NamedTuple):
    """An answer was read. Durations in tenths of a millisecond."""

    place: int
    time_ms: int
    """Of the answer's record."""
    request_id: str
    agent_id: str
    status: int
    error: int
    cache: int
    attempts: int
    queue_100us: int
    provider_100us: int
    total_100us: int
    input_tokens: int
    output_tokens: int
    answer_bytes: int
    partition: int
    offset: int
    provider: str
    called_model: str
    topic: str


class Died(NamedTuple):
    """A dead letter was read."""

    place: int
    time_ms: int
    sent_ms: int
    """The time of the request's record."""
    agent_id: str
    reason: int
    error: int
    stage: int
    attempts: int
    partition: int
    offset: int


Event = Asked | Answered | Died


def read_event(names: TopicNames, topic: str, partition: int, record: Record) -> Event | None:
    """What a record says; None for one that says nothing of a request."""
    if topic in names.priority_of:
        return _asked(names.requests.index(topic), partition, record)
    if topic == names.dead_letters:
        return _died(names, partition, record)
    return _answered(names, topic, partition, record)


def _asked(priority_number: int, partition: int, record: Record) -> Asked | None:
    value = record.value or b""
    try:
        place = place_of(priority_number, partition, record.offset)
    except ValueError:
        return None
    found = _object(value)
    payload = found.get("payload")
    model = _text(payload.get("model"), MODEL_CHARS) if isinstance(payload, dict) else ""
    agent_id = _text(found.get("agent_id"), ID_CHARS) or (record.key or b"").decode("utf-8", "replace")[:ID_CHARS]
    return Asked(place, _time(record.timestamp), _text(found.get("request_id"), ID_CHARS), agent_id, model, len(value))


def _answered(names: TopicNames, topic: str, partition: int, record: Record) -> Answered | None:
    value = record.value or b""
    place = next(
        (read_place(_ascii(at), names.requests) for name, at in reversed(record.headers) if name == CE_ID), None
    )
    if place is None:
        return None
    found = _object(value)
    timing, usage, error = (_dict(found.get(name)) for name in ("timing", "usage", "error"))
    request_id = _text(found.get("request_id"), ID_CHARS)
    return Answered(
        place,
        _time(record.timestamp),
        "" if read_place(request_id, names.requests) == place else request_id,
        _text(found.get("agent_id"), ID_CHARS),
        codes.number_of(codes.STATUSES, _text(found.get("status"), 20)),
        codes.number_of(codes.ERRORS, _text(error.get("type"), 40)),
        codes.number_of(codes.CACHES, _text(found.get("cache"), 20)),
        _count(found.get("attempts")),
        _100us(timing.get("queue_ms")),
        _100us(timing.get("provider_ms")),
        _100us(timing.get("total_ms")),
        _count(usage.get("prompt_tokens")),
        _count(usage.get("completion_tokens")),
        len(value),
        partition,
        record.offset,
        _text(found.get("provider"), MODEL_CHARS),
        _text(found.get("model"), MODEL_CHARS),
        "" if topic == names.responses else topic,
    )


def _died(names: TopicNames, partition: int, record: Record) -> Died | None:
    try:
        letter = DeadLetter.from_headers(record.headers)
        place = place_of(names.requests.index(letter.dlq_topic), letter.dlq_partition, letter.dlq_offset)
    except ValueError:
        return None
    return Died(
        place,
        _time(record.timestamp),
        _time(letter.dlq_timestamp),
        (record.key or b"").decode("utf-8", "replace")[:ID_CHARS],
        codes.number_of(codes.REASONS, letter.dlq_reason),
        codes.number_of(codes.ERRORS, letter.dlq_error_type),
        codes.number_of(codes.STAGES, letter.dlq_stage),
        letter.dlq_attempts,
        partition,
        record.offset,
    )


def _object(value: bytes) -> dict[str, Any]:
    try:
        return _dict(orjson.loads(value))
    except orjson.JSONDecodeError:
        return {}


def _dict(found: object) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _text(found: object, most: int) -> str:
    return found[:most] if type(found) is str else ""


def _ascii(value: bytes | None) -> str:
    return (value or b"").decode("ascii", "replace")


def _count(found: object) -> int:
    return found if type(found) is int and 0 <= found < 2**53 else 0


def _100us(found: object) -> int:
    return round(found * 10) if isinstance(found, int | float) and 0 <= found < _MOST_MS else 0


def _time(timestamp_ms: int) -> int:
    return min(max(0, timestamp_ms), MOST_TIME_MS)
