"""A request's answer or dead letter on the log, and the story that its trace tells."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from ops.admin.records import open_reader, partitions_of, read_until
from schemas import dead_letter
from schemas.dead_letter import DeadLetter
from schemas.message import answer_in, object_in
from streams.kafka.list_offsets import end_offsets
from streams.redaction import in_force
from streams.settings import Settings
from streams.trace.header import Trace, TraceError, Tried, Waited, decode
from streams.waits import WORDS
from topics.headers import CE_ID, REQUEST_ID, TRACE, TRACEPARENT
from topics.trace_context import read_traceparent

_OF_ANSWERS: Final = ("cache", "timing", "provider", "model", "usage", "cost")
_ROUNDED: Final = 50
"""Tenths of a millisecond by which a pause and the sum of what it was for may differ: two clocks."""


async def find_end(settings: Settings, request_id: str, since_s: float) -> dict[str, Any] | None:
    """The first answer or dead letter to the request that was written in the last `since_s` seconds. Raises ProvisionError."""
    names, since_ms = settings.topics.names, round((time.time() - since_s) * 1000)
    dead = names.all_dead_letters
    async with open_reader(settings.kafka.client_options()) as consumer:
        partitions = await partitions_of(consumer, [*names.all_responses, names.front_responses, *dead])
        ends = await end_offsets(consumer, partitions)
        found = await consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
        begins = {each: ends[each] if found[each] is None else found[each].offset for each in partitions}
        async for record in read_until(consumer, begins, ends):
            if (told := told_by(record, request_id, is_dead=record.topic in dead)) is not None:
                return told
    return None


def told_by(record: Any, request_id: str, *, is_dead: bool) -> dict[str, Any] | None:
    """What an answer or dead letter tells of this request; None where it is another's."""
    headers, wanted = dict(record.headers), request_id.encode()
    place = headers.get(CE_ID)
    if is_dead:
        try:
            letter = DeadLetter.from_headers(record.headers)
        except ValueError:
            return None
        place = f"{letter.dlq_topic}:{letter.dlq_partition}:{letter.dlq_offset}".encode()
    is_named = wanted in (place, headers.get(REQUEST_ID))
    if not is_named and not (is_dead and wanted in (record.value or b"")):
        return None
    value = (object_in if is_dead else answer_in)(record.value)
    if not is_named and value.get("request_id") != request_id:
        return None
    raw = headers.get(dead_letter.TRACE if is_dead else TRACE)
    try:
        trace = None if raw is None else decode(raw)
    except TraceError:
        trace = None
    said = letter.dlq_error_message if is_dead else (value.get("error") or {}).get("message")
    return {
        "request_id": request_id,
        "status": "dead" if is_dead else value.get("status"),
        "record": (place or b"").decode("utf-8", "replace"),
        "traceparent": None if (parent := read_traceparent(headers.get(TRACEPARENT))) is None else parent.decode(),
        "found_at": f"{record.topic}:{record.partition}:{record.offset}",
        "error": in_force.rules.text(said) if isinstance(said, str) else None,
        "agent_id": value.get("agent_id"),
        "attempts": letter.dlq_attempts if is_dead else value.get("attempts"),
        **{name: None if is_dead else value.get(name) for name in _OF_ANSWERS},
        "trace": None if trace is None else as_json(trace),
        "steps": [] if trace is None else steps(trace),
    }


def as_json(trace: Trace) -> dict[str, Any]:
    """A trace for programs; times in tenths of a millisecond."""
    plain = trace._asdict()
    for name in ("waits", "call_waits", "first", "last"):
        plain[name] = [each._asdict() for each in plain[name]]
    return plain


def steps(trace: Trace) -> list[tuple[float, str]]:
    """What happened, each with its moment in milliseconds since the request's record."""
    told: list[tuple[float, str]] = []
    if trace.read_100us is not None:
        told.append((trace.read_100us / 10, "read by a worker"))
    if trace.passed_on_100us is not None:
        told.append((trace.passed_on_100us / 10, "not in the cache"))
    if trace.queued_100us is not None:
        told.append((trace.queued_100us / 10, "waits for dispatch"))
        told += [(trace.queued_100us / 10, f"waited {_s(each.took_100us)}: {_why(*each[:2])}") for each in trace.waits]
    if trace.dispatched_100us is not None:
        told.append((trace.dispatched_100us / 10, "dispatched"))
    shown = [*trace.first, *trace.last]
    for number, each in enumerate(shown):
        if trace.last and number == len(trace.first) and trace.attempts > len(shown):
            told.append((each.began_100us / 10, f"{trace.attempts - len(shown)} more attempts"))
        status = f" (HTTP {each.status})" if each.status else ""
        told.append(
            (each.began_100us / 10, f"attempt at {each.endpoint}: {each.outcome}{status}, {_s(each.took_100us)}")
        )
    told += [
        (_begins(each, trace, shown), f"waited {_s(each.took_100us)}: {_why(*each[:2])}") for each in trace.call_waits
    ]
    told.sort(key=lambda step: step[0])
    where = {"memory": " from the cache (memory)", "disk": " from the cache (disk)"}.get(trace.cache, "")
    where = where or (" with another request's call, which it had joined" if trace.cache == "joined" else "")
    return [*told, (trace.total_100us / 10, f"answered{where}")]


def _begins(wait: Waited, trace: Trace, attempts: Sequence[Tried]) -> float:
    """When a call may have waited so long: in the first pause between its attempts that has room for it, else in the first."""
    ends = [each.began_100us + each.took_100us for each in attempts]
    before = trace.dispatched_100us or 0
    pauses = [(begins, each.began_100us - begins) for begins, each in zip([before, *ends], attempts, strict=False)]
    fits = next((begins for begins, lasts in pauses if lasts >= wait.took_100us - _ROUNDED), None)
    return (fits if fits is not None else ends[0] if ends else before) / 10


def lines(found: dict[str, Any]) -> list[str]:
    """For people."""
    told = [f"{found['request_id']}  {found['status']}  {found['record']}"]
    if found["traceparent"]:
        told.append(f"traceparent {found['traceparent']}")
    told += [f"{at_ms:10.1f} ms  {text}" for at_ms, text in found["steps"]]
    if not found["steps"]:
        told.append(f"no trace; cache {found['cache']}, timing {found['timing']}")
    if found["error"]:
        told.append(f"error: {found['error']}")
    return told


def _why(reason: str, of: str) -> str:
    words = next((text for name, text in WORDS.items() if name == reason), reason)
    return f"{words}{f', {of}' if of else ''}"


def _s(tenths: int) -> str:
    return f"{tenths / 10_000:.3f} s"
