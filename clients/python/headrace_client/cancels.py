"""The record that cancels a request. Pure."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from headrace_client.names import Topics
from headrace_client.records import Outgoing, check_id, encode, rfc3339

_REASON_CHARS: Final = 1024
_EVENT_ID: Final = re.compile(r"[a-zA-Z0-9._-]{1,249}:[0-9]{1,7}:[0-9]{1,19}", re.ASCII)


def cancel_of(
    request_id: str,
    topics: Topics,
    *,
    agent_id: str | None,
    event_id: str | None,
    reason: str | None,
    source: str,
    now: datetime,
) -> Outgoing:
    """A cancel of one request. All that it names has to be the request's own, else nothing happens.

    Raises ValueError where it names neither an agent nor a record (an id is unique to its agent only), and for what the
    contract refuses.
    """
    if agent_id is None and event_id is None:
        raise ValueError("a cancel names its request's agent_id, or its event_id, or both")
    value = {"request_id": request_id, "requested_by": source[:256], "requested_at": rfc3339(now)}
    check_id("request_id", request_id)
    if agent_id is not None:
        check_id("agent_id", agent_id)
        value["agent_id"] = agent_id
    if event_id is not None:
        if not _EVENT_ID.fullmatch(event_id):
            raise ValueError(f"event_id is {event_id!r}, not topic:partition:offset")
        value["record"] = event_id
    if reason is not None:
        if len(reason) > _REASON_CHARS:
            raise ValueError(f"reason has {len(reason)} characters; it may have {_REASON_CHARS}")
        value["reason"] = reason
    return Outgoing(topics.cancels, request_id.encode(), encode(value), [("content-type", b"application/json")])
