"""From a record of a response topic to an answer. Pure; raises nothing, whatever a stranger wrote there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeGuard, get_args

import orjson

from headrace_client.errors import AnswerError, Cancelled, Expired, Failed, ProviderError, Rejected

Status = Literal["ok", "error", "expired", "rejected"]
"""How a request ended."""

_STATUSES: Final = frozenset(get_args(Status))
_TYPE: Final = b"headrace.response.v1"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, as the provider counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request.

    `event_id` is the request's place on the log (`topic:partition:offset`), as the fleet wrote it. A request_id is
    whatever its sender claims; an event_id belongs to one record alone.
    """

    request_id: str
    agent_id: str
    event_id: str
    status: Status
    payload: Mapping[str, Any]
    """The provider's answer; empty unless the status is `ok`."""
    conversation_id: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    retryable: bool = False
    usage: Usage = Usage()
    cache: str = "none"
    provider: str | None = None
    model: str | None = None
    attempts: int = 0
    value: Mapping[str, Any] | None = None
    """The whole response, with fields of later versions of the contract."""

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    @property
    def text(self) -> str:
        """The words of a chat completion's first choice; empty where there are none."""
        try:
            content = self.payload["choices"][0]["message"]["content"]
        except (KeyError, IndexError, TypeError):
            return ""
        return content if isinstance(content, str) else ""

    def raise_for_status(self) -> Answer:
        """This answer if it is `ok`; else raises Rejected, Expired, Cancelled, ProviderError or Failed."""
        if not self.ok:
            raise error_of(self)
        return self


def error_of(answer: Answer) -> AnswerError:
    """The exception for an answer that is not `ok`."""
    if answer.status == "rejected":
        return Rejected(answer)
    if answer.status == "expired":
        return Expired(answer)
    if answer.error_type == "cancelled":
        return Cancelled(answer)
    return ProviderError(answer) if (answer.error_type or "").startswith("provider_") else Failed(answer)


def event_id_of(headers: Sequence[tuple[str, bytes | None]]) -> str | None:
    """The event id of a response by its headers alone; None for a record that is no response."""
    found = dict(headers)  # of a repeated header the last one counts
    event_id = found.get("ce_id")
    if event_id is None or found.get("ce_type") != _TYPE:
        return None
    try:
        return event_id.decode()
    except UnicodeDecodeError:
        return None


def agent_of(key: bytes | None) -> str | None:
    """The agent by a response's key; None for a record that is no response."""
    try:
        return key.decode() if key is not None else None
    except UnicodeDecodeError:
        return None


def read_answer(event_id: str, value: bytes | None) -> Answer | None:
    """A response; None for a value that is none."""
    try:
        found = orjson.loads(value or b"")
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    request_id, agent_id, status = found.get("request_id"), found.get("agent_id"), found.get("status")
    payload, error = found.get("payload"), found.get("error")
    if not (isinstance(request_id, str) and isinstance(agent_id, str) and _is_status(status)):
        return None
    error = error if isinstance(error, dict) else {}
    return Answer(
        request_id,
        agent_id,
        event_id,
        status,
        payload if isinstance(payload, dict) else {},
        _text(found.get("conversation_id")),
        _text(error.get("type")),
        _text(error.get("message")),
        error.get("retryable") is True,
        _usage(found.get("usage")),
        _text(found.get("cache")) or "none",
        _text(found.get("provider")),
        _text(found.get("model")),
        _count(found.get("attempts")),
        found,
    )


def _is_status(value: object) -> TypeGuard[Status]:
    return isinstance(value, str) and value in _STATUSES


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _count(value: object) -> int:
    return value if type(value) is int and value >= 0 else 0


def _usage(value: object) -> Usage:
    if not isinstance(value, dict):
        return Usage()
    return Usage(*(_count(value.get(name)) for name in ("prompt_tokens", "completion_tokens", "total_tokens")))
