"""From a record to a request, or to the reason why it is none. Pure: no clock, no I/O.

A record that can never be a request is poison: it gets one dead letter, and a `rejected` response besides if its value is a
JSON object and an agent_id can be read (from the value, else from the key).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from pydantic import ValidationError

from schemas.dead_letter import DeadLetterReason
from schemas.errors import clip, explain
from schemas.json_nodes import MOST_NODES, too_many_nodes
from schemas.limits import ID_CHARS, TIMEOUT_S
from schemas.request import Request
from schemas.response import ErrorType
from streams.kafka.records import Origin, Original, Record
from streams.kafka.set_aside import SetAside
from streams.pipeline import PendingRequest, Rejected, Source
from streams.signing import KeyProofs
from topics.headers import NO_HEADERS, read_request_headers
from topics.names import V1, Priority, TopicNames

# `model_validate_json` without its keyword arguments: 0.4 us a record.
_validate: Final = Request.__pydantic_validator__.validate_json


@dataclass(frozen=True, slots=True)
class Decoder:
    """Reads records of the request topics. Waits are seconds, by class."""

    max_value_bytes: int
    waits_s: Mapping[Priority, float]
    most_s: float = TIMEOUT_S
    """Longest total time that a request may ask for; what is longer is cut to it."""
    most_nodes: int = MOST_NODES
    """Arrays, objects and keys in a value."""
    keeps_records: bool = False
    """Whether requests hold their records, for dead letters. Those that name a reply topic of their own always do."""
    names: TopicNames = V1
    proofs: KeyProofs | None = None
    """How a front's key is proved; None: no key counts."""

    def decode(self, record: Record, origin: Origin, source: Source, index: int) -> PendingRequest | Rejected:
        """Raises nothing, whatever the record holds."""
        value = record.value
        event_id = origin.event_id(record.offset)
        if value is None:
            if isinstance(record, SetAside):
                return _refuse_unread(record, event_id)
            return Rejected("poison", "invalid_request", "the value is null (a tombstone)", event_id.decode())
        if len(value) > self.max_value_bytes:
            message = f"the value has {len(value)} bytes, the most is {self.max_value_bytes}"
            return self._refuse_by_size(record, event_id, message)
        if too_many_nodes(value, self.most_nodes):
            message = f"the value has more than {self.most_nodes} arrays, objects and keys"
            return self._refuse_by_size(record, event_id, message)
        try:
            request = _validate(value)
        except ValidationError as error:
            return _refuse(record, event_id, explain(error))
        except (ValueError, RecursionError) as error:
            return _refuse(record, event_id, clip(f"the value is not usable JSON: {error}"))
        agent_id = request.agent_id or _agent_of_key(record.key)
        if agent_id is None:
            return _refuse(record, event_id, "agent_id: neither the value nor the record key has one")
        headers = read_request_headers(given) if (given := record.headers) else NO_HEADERS
        if headers.fault is not None:
            return _refuse(record, event_id, headers.fault)

        topic = self.names.request_topics[origin.topic]
        priority = topic.priority
        received_at = record.timestamp / 1000
        expires_at = headers.expires_at_s
        if request.timeout_s is not None:
            expires_at = received_at + request.timeout_s
        elif request.deadline is not None:
            expires_at = request.deadline.timestamp()
        if expires_at is not None and expires_at > received_at + self.most_s:
            expires_at = received_at + self.most_s
        return PendingRequest(  # by position: names cost 0.4 us
            request,
            request.request_id or event_id.decode(),
            agent_id,
            priority,
            source,
            index,
            event_id,
            received_at,
            received_at + self.waits_s[priority] if expires_at is None else expires_at,
            expires_at,
            headers.reply_to or topic.responses,
            headers.reply_partition if headers.reply_to else None,
            headers.traceparent,
            len(value),
            Original(record, origin) if self.keeps_records or headers.reply_to else None,
            headers.streams and (not topic.tenant or headers.reply_to == self.names.front_responses),
            tenant=topic.tenant,
            tracestate=headers.tracestate,
            key=self._key(origin.topic, headers.front_key, value) if headers.front_key else "",
        )

    def _key(self, topic: str, claim: bytes, value: bytes) -> str:
        return "" if self.proofs is None else self.proofs.proved(topic, claim, value)

    def _refuse_by_size(self, record: Record, event_id: bytes, message: str) -> Rejected:
        """Who sent it is looked for in the value only where that costs little: it may hold 8 million lists."""
        value = record.value or b""
        is_cheap = not too_many_nodes(value, self.most_nodes)
        return _refuse(record, event_id, message, "too_large", "too_large", look_inside=is_cheap)


def _refuse_unread(record: SetAside, event_id: bytes) -> Rejected:
    message = clip(f"set aside unread: {record.why}")
    if record.kind == "too_large":
        return Rejected("too_large", "too_large", message, event_id.decode())
    return Rejected("poison", "invalid_request", message, event_id.decode())


def _refuse(
    record: Record,
    event_id: bytes,
    message: str,
    reason: DeadLetterReason = "poison",
    error_type: ErrorType = "invalid_request",
    *,
    look_inside: bool = True,
) -> Rejected:
    found = _object(record.value or b"") if look_inside else {}
    if found is None:
        return Rejected(reason, error_type, message, event_id.decode())
    headers = read_request_headers(record.headers) if record.headers else NO_HEADERS
    return Rejected(
        reason,
        error_type,
        message,
        _identifier(found.get("request_id")) or event_id.decode(),
        _identifier(found.get("agent_id")) or _agent_of_key(record.key),
        _identifier(found.get("conversation_id")),
        headers.reply_to or None,
        headers.reply_partition if headers.reply_to else None,
    )


def _object(value: bytes) -> dict[str, Any] | None:
    try:
        found = orjson.loads(value)
    except (ValueError, RecursionError):
        return None
    return found if type(found) is dict else None


def _agent_of_key(key: bytes | None) -> str | None:
    try:
        return _identifier((key or b"").decode())
    except UnicodeDecodeError:
        return None


def _identifier(found: object) -> str | None:
    return found if type(found) is str and 0 < len(found) <= ID_CHARS else None
