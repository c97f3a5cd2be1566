"""What one record says of a request: read out of a record of a request, answer or dead-letter topic. Pure.

Values are strangers': whatever they hold, an event comes of it or nothing. A request that cannot be read is still one: it has a
place and an agent by its key.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from ops.ui.index import codes
from ops.ui.index.keys import MOST_TIME_MS
from ops.ui.index.places import Places
from schemas import dead_letter
from schemas.dead_letter import DeadLetter
from schemas.limits import ID_CHARS, MODEL_CHARS
from schemas.message import answer_in, object_in
from streams.kafka.records import Record
from streams.trace.header import MOST_BYTES
from topics.headers import CE_ID, TRACE

_MOST_MS: Final = 2**32 / 10


class Asked(NamedTuple):
    """A request was read."""

    place: int
    time_ms: int
    request_id: str
    agent_id: str
    model: str
    request_bytes: int
    tenant: str = ""


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
    tenant: str = ""
    trace: bytes = b""


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
    tenant: str = ""
    trace: bytes = b""


Event = Asked | Answered | Died


def read_event(places: Places, topic: str, partition: int, record: Record) -> Event | None:
    """What a record says; None for one that says nothing of a request."""
    names = places.names
    if topic in names.request_topics:
        return _asked(places, topic, partition, record)
    if topic in names.all_dead_letters:
        return _died(places, topic, partition, record)
    return _answered(places, topic, partition, record)


def _asked(places: Places, topic: str, partition: int, record: Record) -> Asked | None:
    value = record.value or b""
    try:
        place = places.place(topic, partition, record.offset)
    except ValueError:
        return None
    found = object_in(value)
    payload = found.get("payload")
    model = _text(payload.get("model"), MODEL_CHARS) if isinstance(payload, dict) else ""
    agent_id = _text(found.get("agent_id"), ID_CHARS) or (record.key or b"").decode("utf-8", "replace")[:ID_CHARS]
    return Asked(
        place,
        _time(record.timestamp),
        _text(found.get("request_id"), ID_CHARS),
        agent_id,
        model,
        len(value),
        places.tenant_of(place),
    )


def _answered(places: Places, topic: str, partition: int, record: Record) -> Answered | None:
    value = record.value or b""
    place = next((places.read(_ascii(at)) for name, at in reversed(record.headers) if name == CE_ID), None)
    if place is None:
        return None
    names, tenant = places.names, places.tenant_of(place)
    if not names.may_answer_on(topic, tenant):  # whoever may write there speaks for itself alone
        return None
    found = answer_in(value)
    timing, usage, error = (_dict(found.get(name)) for name in ("timing", "usage", "error"))
    request_id = _text(found.get("request_id"), ID_CHARS)
    return Answered(
        place,
        _time(record.timestamp),
        "" if places.read(request_id) == place else request_id,
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
        "" if topic == names.responses_of(tenant) else topic,
        tenant,
        _trace(record, TRACE),
    )


def _died(places: Places, topic: str, partition: int, record: Record) -> Died | None:
    try:
        letter = DeadLetter.from_headers(record.headers)
        place = places.place(letter.dlq_topic, letter.dlq_partition, letter.dlq_offset)
    except ValueError:
        return None
    if places.names.request_topics[letter.dlq_topic].dead_letters != topic:
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
        places.tenant_of(place),
        _trace(record, dead_letter.TRACE),
    )


def _trace(record: Record, header: str) -> bytes:
    found = next((value for name, value in reversed(record.headers) if name == header), None)
    return found if found is not None and len(found) <= MOST_BYTES else b""


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
