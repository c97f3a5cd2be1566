"""What a call may say of its request, and the request that comes of it. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict, cast

from headrace_client.names import Priority
from headrace_client.records import Cache, CacheMode, Operation, Request


class RequestOptions(TypedDict, total=False):
    """What may be said of a request beside its payload; each has the contract's default."""

    agent_id: str
    priority: Priority
    operation: Operation
    request_id: str
    """By default a new UUID. The same again makes a retry that is answered once."""
    conversation_id: str | None
    cache: Cache | CacheMode | None
    timeout_s: float | None
    """Total seconds from the moment at which the broker has it."""
    deadline: datetime | None
    """The latest moment for an answer; `timeout_s` wins over it."""
    traceparent: str | None
    tracestate: str | None


def request_of(payload: Mapping[str, Any], options: RequestOptions, agent_id: str | None) -> Request:
    """A request. `agent_id`: whose it is where the options do not say. Raises ValueError where nobody says."""
    given = dict(options)
    agent_id = cast("str | None", given.pop("agent_id", None)) or agent_id
    if agent_id is None:
        raise ValueError("a request needs an agent_id: of its own, or the client's")
    if isinstance(cache := given.pop("cache", None), str):
        cache = Cache(cast("CacheMode", cache))
    request_id = given.pop("request_id", None) or str(uuid.uuid4())
    return Request(request_id, agent_id, payload, cache=cache, **given)  # type: ignore[arg-type]
