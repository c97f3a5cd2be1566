"""An HTTP request as a request of the contract. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any, Final

import orjson
from pydantic import ValidationError

from schemas.errors import explain
from schemas.limits import ID_CHARS
from schemas.request import Operation, Request
from streams.front.idempotency.claims import body_of, scope_of
from streams.front.problems import ProblemError, invalid
from topics.names import PRIORITIES, Priority

AGENT: Final = "x-headrace-agent"
CLASS: Final = "x-headrace-class"
TIMEOUT: Final = "x-headrace-timeout"
CONVERSATION: Final = "x-headrace-conversation"
CACHE: Final = "x-headrace-cache"
PREFER: Final = "prefer"
IDEMPOTENCY_KEY: Final = "idempotency-key"

NOBODY: Final = "http"
"""The agent of requests that name none."""

_TIERS: Final[Mapping[str, Priority]] = {"priority": "high", "flex": "low"}
"""Classes by OpenAI's `service_tier`; all others are normal."""

_WAIT = re.compile(r"wait\s*=\s*\"?(\d{1,6})\"?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Preference:
    """How long an answer is waited for (RFC 7240)."""

    wait_s: float | None = None
    """Seconds; None: as long as the front waits."""
    respond_async: bool = False


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """Whose key, and what was asked with it: hashes, of which neither can be read."""

    scope: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Inbound:
    """A request that is ready to be published, but for its id."""

    fields: Mapping[str, Any]
    agent_id: str
    operation: Operation
    priority: Priority
    preference: Preference
    streams: bool
    """Whether the client wants server-sent events."""
    tells_usage: bool
    """Whether a stream ends with a chunk that tells the usage (`stream_options.include_usage`)."""
    model: str
    idempotency: IdempotencyKey | None
    id_prefix: str
    """What its id begins with: of which API it is."""
    tenant: str = ""
    """Whose it is, by its key; nothing that a client sends says so."""

    def value(self, request_id: str) -> bytes:
        """The value of its record."""
        return orjson.dumps({"request_id": request_id, **self.fields})


_PREFIXES: Final[Mapping[Operation, str]] = {"chat.completions": "chatcmpl-", "embeddings": "embd-"}


def read_inbound(
    operation: Operation, headers: Mapping[str, str], body: bytes, *, id_prefix: str | None = None
) -> Inbound:
    """Read an HTTP request. `headers` by lower-case names. The body, a payload of the contract, travels as it came.

    `id_prefix`: of the API, where it is not OpenAI's. Raises ProblemError for what the fleet would refuse.
    """
    payload = json_object(body)
    prefix = id_prefix or _PREFIXES[operation]
    agent_id = headers.get(AGENT) or _text(payload, "safety_identifier") or _text(payload, "user") or NOBODY
    fields: dict[str, Any] = {"agent_id": agent_id, "operation": operation, "payload": orjson.Fragment(body)}
    if conversation := headers.get(CONVERSATION):
        fields["conversation_id"] = conversation
    if mode := headers.get(CACHE):
        fields["cache"] = {"mode": mode}
    if (timeout := headers.get(TIMEOUT)) is not None:
        fields["timeout_s"] = _seconds(timeout)
    try:
        Request.model_validate_json(orjson.dumps(fields))
    except ValidationError as error:
        raise ProblemError(invalid(explain(error), param=_parameter(error))) from None
    except (ValueError, TypeError, RecursionError) as error:
        raise ProblemError(invalid(f"the body is not usable JSON: {error}")) from None
    options = payload.get("stream_options")
    return Inbound(
        fields,
        agent_id,
        operation,
        _priority(headers.get(CLASS), payload.get("service_tier")),
        _preference(headers.get(PREFER, "")),
        streams=operation == "chat.completions" and payload.get("stream") is True,
        tells_usage=isinstance(options, dict) and options.get("include_usage") is True,
        model=payload["model"],
        idempotency=_idempotency(headers, agent_id, prefix, body),
        id_prefix=prefix,
    )


def _idempotency(headers: Mapping[str, str], agent_id: str, api: str, body: bytes) -> IdempotencyKey | None:
    key = headers.get(IDEMPOTENCY_KEY)
    if key is None:
        return None
    if not 0 < len(key) <= ID_CHARS:
        raise ProblemError(invalid(f"{IDEMPOTENCY_KEY} has 1 to {ID_CHARS} characters", param=IDEMPOTENCY_KEY))
    caller = "\0".join((headers.get("authorization", ""), headers.get("x-api-key", ""), agent_id))
    return IdempotencyKey(scope_of(caller, key), body_of(api, body))


def json_object(body: bytes) -> dict[str, Any]:
    """The body of an HTTP request. Raises ProblemError where it is no JSON object."""
    try:
        found = orjson.loads(body)
    except (ValueError, RecursionError) as error:
        raise ProblemError(invalid(f"the body is not usable JSON: {error}")) from None
    if type(found) is not dict:
        raise ProblemError(invalid("the body must be a JSON object"))
    return found


def _text(payload: Mapping[str, Any], name: str) -> str | None:
    found = payload.get(name)
    return found[:ID_CHARS] if isinstance(found, str) and found else None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = nan
    if not isfinite(seconds):
        raise ProblemError(invalid(f"{TIMEOUT} must be seconds, such as 20: {text[:40]!r}", param=TIMEOUT))
    return seconds


def _priority(named: str | None, tier: object) -> Priority:
    if named is None:
        return _TIERS.get(tier, "normal") if isinstance(tier, str) else "normal"
    for priority in PRIORITIES:
        if named == priority:
            return priority
    raise ProblemError(invalid(f"{CLASS} is {named[:40]!r}, not one of {', '.join(PRIORITIES)}", param=CLASS))


def _preference(text: str) -> Preference:
    wait = _WAIT.search(text)
    return Preference(float(wait[1]) if wait else None, "respond-async" in text.lower())


def _parameter(error: ValidationError) -> str | None:
    """The field of the body that is wrong, as an SDK's user knows it."""
    place = [str(each) for each in error.errors(include_url=False, include_input=False)[0]["loc"]]
    return ".".join(place[1:] if place[:1] == ["payload"] else place) or None
