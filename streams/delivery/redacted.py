"""A dead letter without what the settings' rules mean. Pure but for the rules in force."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.dead_letter import DeadLetter
from streams.redaction import in_force
from topics.headers import DLQ_REDACTED

Headers = Sequence[tuple[str, bytes | None]]


def redacted(value: bytes | None, headers: Headers, letter: DeadLetter) -> tuple[bytes | None, Headers, DeadLetter]:
    """Value, headers and reason of a letter as they may be kept, marked where something was taken out."""
    rules = in_force.rules
    if not rules:
        return value, headers, letter
    value, changed = rules.value(value)
    kept = [(name, None if raw is None else rules.header(raw)) for name, raw in headers if name != DLQ_REDACTED]
    if changed:
        kept.append((DLQ_REDACTED, b"1"))
    message = rules.text(letter.dlq_error_message)
    return value, kept, letter.model_copy(update={"dlq_error_message": message})
