"""Requests from a person or a script: sent, and their answers handed on as they come."""

import uuid
from collections.abc import AsyncIterable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import orjson

from ops.load.ledger import Ledger
from ops.load.traffic import Answer, Traffic
from schemas.dead_letter import DeadLetter
from streams.settings import Settings
from topics.names import PRIORITIES, Priority


class LineError(ValueError):
    """A line of input that is no request; the message is one line."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request ready to be sent."""

    priority: Priority
    agent_id: str
    request_id: str
    value: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Incoming:
    """The first answer to a request, or its dead letter."""

    request_id: str
    status: str
    value: Mapping[str, Any]
    """The response; of a dead letter its reason, error type and message."""

    def text(self) -> str:
        """What a person wants to see: the model's words, or why there are none."""
        error = self.value.get("error")
        if error:
            return f"{error['type']}: {error['message']}"
        payload = self.value.get("payload") or {}
        try:
            content = payload["choices"][0]["message"]["content"]
        except (KeyError, IndexError, TypeError):
            content = None
        return content if isinstance(content, str) else orjson.dumps(payload).decode()


def from_text(
    text: str,
    *,
    agent_id: str,
    model: str,
    priority: Priority,
    timeout_s: float | None = None,
    conversation_id: str | None = None,
    max_tokens: int | None = None,
) -> Outgoing:
    """A chat completion of one user message."""
    payload: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": text}]}
    if max_tokens is not None:
        payload["max_tokens"] = max_tokens
    value: dict[str, Any] = {"request_id": _new_id(), "agent_id": agent_id, "payload": payload}
    if conversation_id is not None:
        value["conversation_id"] = conversation_id
    if timeout_s is not None:
        value["timeout_s"] = timeout_s
    return Outgoing(priority, agent_id, value["request_id"], value)


def from_line(line: str, *, agent_id: str, priority: Priority) -> Outgoing:
    """A request from a line of JSON: its value, with an optional `priority` beside it that is not part of it.

    What the value lacks is added: an id, the agent. The rest goes out as it is; the fleet checks it. Raises LineError.
    """
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise LineError(f"no JSON: {error}") from None
    if not isinstance(value, dict):
        raise LineError("a request is a JSON object")
    given = value.pop("priority", priority)
    if given not in PRIORITIES:
        raise LineError(f"priority is {given!r}, not one of {', '.join(PRIORITIES)}")
    for key, default in (("request_id", _new_id()), ("agent_id", agent_id)):
        if not isinstance(value.setdefault(key, default), str) or not value[key]:
            raise LineError(f"{key} must be a string with something in it")
    return Outgoing(cast("Priority", given), value["agent_id"], value["request_id"], value)


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of sending."""

    sent: int
    ok: int
    missing: tuple[str, ...]
    """Ids without an answer when the wait was over."""


async def send_all(
    settings: Settings,
    requests: AsyncIterable[Outgoing],
    wait_s: float | None,
    on_answer: Callable[[Incoming], None],
    tenant: str = "",
) -> Sent:
    """Send the requests and wait until each has a first answer, at most `wait_s` seconds after the last; None: do not wait.

    `tenant`: on whose topics. Raises ProvisionError, SendError.
    """
    ledger, ids = Ledger(), set[str]()
    told = set[str]()

    def note(answer: Answer) -> None:
        if answer.request_id in ids and answer.request_id not in told:
            told.add(answer.request_id)
            on_answer(_incoming(answer))

    names = settings.topics.names.as_tenant(tenant)
    async with Traffic(settings.kafka.client_options(), ledger, names=names, on_answer=note) as traffic:
        last = None
        async for request in requests:
            ids.add(request.request_id)
            last = await traffic.send(request.priority, request.agent_id, request.value, request.request_id)
        if wait_s is not None:
            await traffic.wait_answered(wait_s)
        elif last is not None:
            await traffic.flush()
    return Sent(ledger.sent, ledger.summary().ok, tuple(ledger.lost_ids()))


def _new_id() -> str:
    return f"send-{uuid.uuid4().hex}"


def _incoming(answer: Answer) -> Incoming:
    if answer.status != "dead":
        return Incoming(answer.request_id, answer.status, orjson.loads(answer.value or b"{}"))
    try:
        letter = DeadLetter.from_headers(answer.headers)
    except ValueError:
        return Incoming(answer.request_id, "dead", {"request_id": answer.request_id, "status": "dead"})
    error = {"type": letter.dlq_error_type, "message": letter.dlq_error_message, "retryable": False}
    value = {"request_id": answer.request_id, "status": "dead", "reason": letter.dlq_reason, "error": error}
    return Incoming(answer.request_id, "dead", value)
