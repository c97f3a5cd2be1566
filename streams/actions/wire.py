"""The one door to the records of `agent.admin`: everybody writes them by `encode`, and reads them by `decode`. Pure."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pydantic import TypeAdapter

from schemas.admin import ADMIN_ACTION, AdminAction, AdminOutcome
from schemas.limits import ADMIN_RECORD_BYTES
from streams.kafka.records import Record
from topics.headers import CE_TYPE, Headers, ce_type, message_headers

AdminRecord = AdminAction | AdminOutcome

_ACTION: Final = ce_type("admin_action").encode()
_OUTCOME: Final = ce_type("admin_outcome").encode()
_ADMIN_OUTCOME: Final[TypeAdapter[AdminOutcome]] = TypeAdapter(AdminOutcome)
_LOG_APPEND_TIME: Final = 1


@dataclass(frozen=True, slots=True)
class Noted:
    """A record as it was read. `at`: Unix seconds, by the broker's clock."""

    record: AdminRecord
    at: float
    offset: int


@dataclass(frozen=True, slots=True)
class Encoded:
    """A record to be written, to partition 0."""

    key: bytes
    value: bytes
    headers: Headers


def encode(record: AdminRecord, source: str) -> Encoded:
    """A record for the topic. `source`: the process or program that writes it, as a URI reference."""
    message = "admin_outcome" if isinstance(record, AdminOutcome) else "admin_action"
    headers = message_headers(message, event_id=uuid.uuid4().hex, source=source, time=datetime.now(UTC))
    return Encoded(record.action_id.encode(), record.to_json(), headers)


def decode(record: Record) -> Noted:
    """Read a record of the topic. Raises ValueError where it is none of ours, too large, or stamped by its producer."""
    value = record.value
    if value is None or len(value) > ADMIN_RECORD_BYTES:
        raise ValueError("the value is null" if value is None else "the value is too large")
    # A producer's time would let an action be older or newer than those before it.
    if getattr(record, "timestamp_type", _LOG_APPEND_TIME) != _LOG_APPEND_TIME:
        raise ValueError("its time is not the broker's: message.timestamp.type of the topic is not LogAppendTime")
    kind = next((given for name, given in reversed(record.headers) if name == CE_TYPE), None)
    at = record.timestamp / 1000
    if kind == _ACTION:
        return Noted(ADMIN_ACTION.validate_json(value), at, record.offset)
    if kind == _OUTCOME:
        return Noted(_ADMIN_OUTCOME.validate_json(value), at, record.offset)
    raise ValueError("its ce_type is neither an action's nor an outcome's")
