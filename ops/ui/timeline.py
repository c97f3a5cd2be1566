"""The story of one request, step by step, out of its row. Pure.

Here is the seam for what a request's answer will tell besides: whatever knows more of it adds steps to these, by their time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ops.admin.trace import steps
from ops.ui.index import codes
from ops.ui.index.row import Row
from streams.trace.header import TraceError, decode

Kind = Literal["done", "waiting", "failed"]


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened at a moment, and how long it took; `took_ms` None: it took no time, or goes on."""

    at_ms: float
    title: str
    detail: str
    kind: Kind = "done"
    took_ms: float | None = None


def traced(row: Row) -> list[Step]:
    """What the trace of its answer or dead letter tells, which the row keeps; empty where it has none that can be read."""
    try:
        told = steps(decode(row.trace)) if row.trace else []
    except TraceError:
        return []
    found: list[Step] = []
    for at_ms, text in told:
        title, _, detail = text.partition(": ")
        if title == "answered" and row.answer_next:  # its answer says so too, and how long it took
            continue
        found.append(Step(row.time_ms + at_ms, title[:1].upper() + title[1:], detail))
    return found


def steps_of(row: Row, now_ms: float) -> list[Step]:
    """What is known of a request, in the order of time."""
    of = f" of tenant {row.tenant}" if row.tenant else ""
    steps = [Step(row.time_ms, "Received", f"class {row.priority}{of}, partition {row.partition}, offset {row.offset}")]
    if row.answer_next:
        steps += _answered(row)
    elif row.status == codes.WAITING:
        waits_ms = max(0.0, now_ms - row.time_ms)
        steps.append(Step(row.time_ms, "No answer yet", "it waits, or its call is under way", "waiting", waits_ms))
    if row.dead_next:
        reason, stage = codes.word_of(codes.REASONS, row.reason), codes.word_of(codes.STAGES, row.stage)
        detail = f"{reason}, given up by {stage} after {_calls(row.attempts)}"
        steps.append(Step(max(row.answered_ms, row.time_ms), "Dead letter", detail, "failed"))
    return steps


def _answered(row: Row) -> list[Step]:
    steps: list[Step] = []
    queue_ms, provider_ms, total_ms = row.queue_100us / 10, row.provider_100us / 10, row.total_100us / 10
    cache = codes.word_of(codes.CACHES, row.cache)
    if row.attempts:
        steps.append(Step(row.time_ms, "Waited for dispatch", "in its class and its agent's turn", "done", queue_ms))
        by = f"{row.provider or 'a provider'}, {_calls(row.attempts)}" + (
            f", model {row.called_model}" if row.called_model else ""
        )
        steps.append(Step(row.time_ms + queue_ms, "Called", by, "done", provider_ms))
    elif cache in ("memory", "disk"):
        steps.append(Step(row.time_ms + queue_ms, "Known", f"answered from the cache ({cache})", "done", queue_ms))
    elif cache == "joined":
        steps.append(Step(row.time_ms, "Joined", "waited for another request's identical call", "done", total_ms))
    status, error = codes.word_of(codes.STATUSES, row.status), codes.word_of(codes.ERRORS, row.error)
    detail = status + (f": {error}" if row.error else "")
    steps.append(Step(row.answered_ms, "Answered", detail, "done" if row.status == codes.OK else "failed", total_ms))
    return steps


def _calls(attempts: int) -> str:
    return "no call" if not attempts else "1 call" if attempts == 1 else f"{attempts} calls"
