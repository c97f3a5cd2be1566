"""What an event makes of a request's row. Pure.

Records of different topics come in any order: an answer may be read before its request. The first answer counts, as in the
contract; a dead letter says nothing of the status where there is an answer too.
"""

from __future__ import annotations

from ops.ui.index import codes
from ops.ui.index.events import Answered, Asked, Died, Event
from ops.ui.index.row import Row


def merged(row: Row | None, event: Event) -> Row:
    """The row with what the event says. An event that was merged before changes nothing."""
    if type(event) is Asked:
        return _with_request(row, event)
    if type(event) is Answered:
        return _with_answer(row, event)
    assert type(event) is Died
    return _with_dead_letter(row, event)


def _with_request(row: Row | None, event: Asked) -> Row:
    place, time_ms, request_id, agent_id, model, request_bytes, tenant = event
    if row is None:
        return Row(place, time_ms, request_id, agent_id, model, request_bytes, True, tenant=tenant)
    return row._replace(
        time_ms=time_ms,
        request_id=request_id,
        agent_id=agent_id or row.agent_id,
        model=model,
        request_bytes=request_bytes,
        asked=True,
    )


def _with_answer(row: Row | None, event: Answered) -> Row:
    if row is None:
        # Until the request is read: its answer says how long ago it came.
        sent_ms = max(0, event.time_ms - event.total_100us // 10)
        row = Row(event.place, sent_ms, event.request_id, event.agent_id, "", tenant=event.tenant)
    elif row.answer_next:
        return row
    return row._replace(
        status=event.status,
        error=event.error,
        cache=event.cache,
        attempts=event.attempts,
        answered_ms=event.time_ms,
        queue_100us=event.queue_100us,
        provider_100us=event.provider_100us,
        total_100us=event.total_100us,
        input_tokens=event.input_tokens,
        output_tokens=event.output_tokens,
        answer_bytes=event.answer_bytes,
        answer_partition=event.partition,
        answer_next=event.offset + 1,
        provider=event.provider,
        called_model=event.called_model,
        answer_topic=event.topic,
        trace=event.trace or row.trace,
        request_id=row.request_id if row.asked else event.request_id,
        agent_id=row.agent_id or event.agent_id,
    )


def _with_dead_letter(row: Row | None, event: Died) -> Row:
    if row is None:
        row = Row(event.place, event.sent_ms, "", event.agent_id, "", tenant=event.tenant)
    elif row.dead_next:
        return row
    changed = row._replace(
        reason=event.reason,
        stage=event.stage,
        dead_partition=event.partition,
        dead_next=event.offset + 1,
        trace=row.trace or event.trace,
    )
    if row.answer_next:
        return changed
    return changed._replace(status=codes.DEAD, error=event.error, attempts=event.attempts, answered_ms=event.time_ms)
