"""Which dead letters a redrive means, and what is sent again of one. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from schemas.admin import LetterFilter
from schemas.dead_letter import DeadLetter
from schemas.message import object_in
from streams.kafka.records import Record
from topics.headers import DLQ_REDACTED, REDRIVEN
from topics.names import TopicNames

MOST_TIMES: Final = 3
"""How often a letter is sent again without being forced to: what fails so often fails for another reason than a bad moment."""

_ADDED: Final = frozenset((*DeadLetter.model_fields, REDRIVEN))


@dataclass(frozen=True, slots=True)
class Again:
    """A record to be sent: the original, and how often it was sent again by then."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


def letter_of(record: Record) -> DeadLetter | None:
    """What the headers of a dead letter say; None where they do not."""
    try:
        return DeadLetter.from_headers(record.headers)
    except ValueError:
        return None


def fits(wanted: LetterFilter, names: TopicNames, partition: int, record: Record, letter: DeadLetter | None) -> bool:
    """Whether a filter means this letter."""
    if wanted.positions is not None:
        return f"{partition}:{record.offset}" in wanted.positions
    if wanted.since is not None and record.timestamp < wanted.since.timestamp() * 1000:
        return False
    if wanted.before is not None and record.timestamp >= wanted.before.timestamp() * 1000:
        return False
    named = (
        (wanted.reason, letter and letter.dlq_reason),
        (wanted.error_type, letter and letter.dlq_error_type),
        (wanted.provider, letter and letter.dlq_provider),
        (wanted.priority, letter and names.priority_of.get(letter.dlq_topic)),
    )
    if any(want is not None and want != has for want, has in named):
        return False
    if wanted.model is None and wanted.agent is None:
        return True
    value = object_in(record.value)
    if wanted.agent is not None and wanted.agent != _agent(value, record.key):
        return False
    payload = value.get("payload")
    return wanted.model is None or (isinstance(payload, dict) and payload.get("model") == wanted.model)


def times_redriven(record: Record) -> int:
    """How often the letter's record had been sent again when it died; of a header that is no number, as often as may be."""
    found = next((value for name, value in reversed(record.headers) if name == REDRIVEN), None)
    if found is None:
        return 0
    return int(found) if found.isdigit() and len(found) < 7 else MOST_TIMES


def why_not(names: TopicNames, record: Record, letter: DeadLetter | None, tenant: str = "") -> str | None:
    """Why a letter of this tenant's dead letters cannot be sent again, or None."""
    if letter is None:
        return "its headers do not say where it came from"
    if any(name == DLQ_REDACTED for name, _ in record.headers):
        return "something was taken out of it (redaction)"
    if letter.dlq_topic not in names.requests:
        return f"it came from {letter.dlq_topic}, which is no request topic"
    if names.request_topics[letter.dlq_topic].tenant != tenant:
        return f"it says that it came from {letter.dlq_topic}, whose dead letters are on another topic"
    if record.key is None and record.value is None:
        return "it has neither a key nor a value, which producers do not send"
    return None


def again(record: Record, letter: DeadLetter) -> Again:
    """The original, as it is sent again."""
    headers: list[tuple[str, bytes | None]] = [each for each in record.headers if each[0] not in _ADDED]
    headers.append((REDRIVEN, b"%d" % (times_redriven(record) + 1)))
    return Again(letter.dlq_topic, record.key, record.value, headers)


def _agent(value: dict[str, Any], key: bytes | None) -> str:
    found = value.get("agent_id")
    return found if isinstance(found, str) else (key or b"").decode("utf-8", "replace")
