"""From what a caller wants to the record that is published. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Final, Literal

import orjson

from headrace_client.names import Priority, Topics

CacheMode = Literal["read_write", "read_only", "write_only", "off"]
"""What the cache may do for a request."""

Operation = Literal["chat.completions", "embeddings"]
"""Which of the provider's operations the payload is for."""

MOST_TIMEOUT_S: Final = 86_400.0
_ID_CHARS: Final = 256
_CACHE_MODES: Final = ("read_write", "read_only", "write_only", "off")
_OPERATIONS: Final = ("chat.completions", "embeddings")


@dataclass(frozen=True, slots=True)
class Cache:
    """How the cache is used for one request; `ttl_s` is above 0, at most 86,400 s."""

    mode: CacheMode = "read_write"
    ttl_s: float | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One request, as the contract has it. `payload` is the provider's request body (OpenAI's wire format).

    `timeout_s` counts from the moment at which the broker has the record and wins over `deadline`, which needs a zone.
    """

    request_id: str
    agent_id: str
    payload: Mapping[str, Any]
    priority: Priority = "normal"
    operation: Operation = "chat.completions"
    conversation_id: str | None = None
    cache: Cache | None = None
    timeout_s: float | None = None
    deadline: datetime | None = None
    traceparent: str | None = None
    tracestate: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What names a request among all: answers count once for it."""
        return self.agent_id, self.request_id


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record ready to be published."""

    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


def outgoing(
    request: Request,
    topics: Topics,
    *,
    reply_topic: str,
    source: str,
    now: datetime,
    lane: int | None = None,
    stream: bool = False,
) -> Outgoing:
    """The record of a request. Raises ValueError for what the contract refuses before it is sent.

    `lane`: the partition of the reply topic that the answer is to go to, and the deltas' partition; `stream`: whether deltas
    are wanted.

    The payload's inside is the fleet's to check, but it must be JSON: integers of 64 bits, no NaN, no lone surrogates.
    """
    _check(request)
    value: dict[str, Any] = {
        "request_id": request.request_id,
        "agent_id": request.agent_id,
        "operation": request.operation,
        "created_at": rfc3339(now),
    }
    if request.conversation_id is not None:
        value["conversation_id"] = request.conversation_id
    if request.cache is not None:
        ttl = {} if request.cache.ttl_s is None else {"ttl_s": request.cache.ttl_s}
        value["cache"] = {"mode": request.cache.mode, **ttl}
    if request.timeout_s is not None:
        value["timeout_s"] = request.timeout_s
    if request.deadline is not None:
        value["deadline"] = rfc3339(request.deadline)
    value["payload"] = dict(request.payload)
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_type", b"headrace.request.v1"),
        ("content-type", b"application/json"),
        ("ce_id", request.request_id.encode()),
        ("ce_source", source.encode()),
        ("ce_time", rfc3339(now).encode()),
    ]
    if reply_topic != topics.responses or lane is not None:
        headers.append(("reply_to", reply_topic.encode()))
    if lane is not None:
        headers.append(("reply_partition", str(lane).encode()))
    if stream:
        headers.append(("stream", b"true"))
    if request.traceparent is not None:
        headers.append(("traceparent", request.traceparent.encode()))
        if request.tracestate is not None:
            headers.append(("tracestate", request.tracestate.encode()))
    return Outgoing(topics.requests(request.priority), request.agent_id.encode(), encode(value), headers)


def content_digest(request: Request) -> bytes:
    """16 bytes that are the same for the same request: what a repeated request_id is compared by."""
    content = [request.priority, request.operation, request.conversation_id, request.cache, dict(request.payload)]
    return hashlib.blake2b(encode(content, orjson.OPT_SORT_KEYS), digest_size=16).digest()


def encode(value: object, option: int = 0) -> bytes:
    """JSON as UTF-8. Raises ValueError where the value is none, or would come out as something else."""
    try:
        encoded = orjson.dumps(value, option=option)
    except TypeError as error:
        raise ValueError(f"the request cannot be written as JSON: {error}") from None
    # orjson writes NaN and infinities as null: only where a null was written is there a reason to look for one.
    if b"null" in encoded and not _all_finite(value):
        raise ValueError("the request holds a number that is not finite, which JSON cannot say")
    return encoded


def _all_finite(value: object) -> bool:
    rest = [value]
    while rest:
        node = rest.pop()
        if isinstance(node, float):
            if not isfinite(node):
                return False
        elif isinstance(node, dict):
            rest.extend(node.values())
        elif isinstance(node, (list, tuple)):
            rest.extend(node)
    return True


def check_id(name: str, given: object) -> None:
    """Raises ValueError for what the contract takes for no id. `name`: the field that it is for."""
    if not isinstance(given, str) or not 0 < len(given) <= _ID_CHARS:
        raise ValueError(f"{name} must be a string of 1 to {_ID_CHARS} characters")
    try:
        given.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} holds a lone surrogate, which is no text") from None


def _check(request: Request) -> None:
    check_id("request_id", request.request_id)
    check_id("agent_id", request.agent_id)
    if request.conversation_id is not None:
        check_id("conversation_id", request.conversation_id)
    if request.operation not in _OPERATIONS:
        raise ValueError(f"operation is {request.operation!r}, not one of {', '.join(_OPERATIONS)}")
    if request.timeout_s is not None and not 0 < request.timeout_s <= MOST_TIMEOUT_S:
        raise ValueError(f"timeout_s is {request.timeout_s}; it must be above 0 and at most {MOST_TIMEOUT_S:g}")
    if request.deadline is not None and request.deadline.tzinfo is None:
        raise ValueError("deadline needs a time zone: datetime.now(UTC) + timedelta(seconds=30)")
    if request.cache is not None:
        if request.cache.mode not in _CACHE_MODES:
            raise ValueError(f"cache.mode is {request.cache.mode!r}, not one of {', '.join(_CACHE_MODES)}")
        if request.cache.ttl_s is not None and not 0 < request.cache.ttl_s <= MOST_TIMEOUT_S:
            raise ValueError(f"cache.ttl_s is {request.cache.ttl_s}; it must be above 0 and at most {MOST_TIMEOUT_S:g}")


def rfc3339(moment: datetime) -> str:
    """A moment in UTC, in milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
