"""What was asked, answered and paid: plain facts, all times in Unix seconds of one machine. Pure.

The topics are the truth of what was asked and answered, the providers' own books of what was called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from ops.provider_sim.answers import body_hash

_ID_PREFIX = "chatcmpl-"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that the brokers accepted."""

    request_id: str
    prompt_id: str
    """What the provider sees; several requests may ask the same."""
    agent_id: str
    provider: str
    mark: str
    """What an answer to it, and to nothing else, carries: the provider's hash of what it was asked."""
    takes_s: float
    """How long the provider needs by its own wish."""
    at: float
    records: int = 1
    """How often the request is in the topic: a caller's retry is a second request."""


@dataclass(frozen=True, slots=True)
class Ended:
    """An answer, or a dead letter (status `dead`)."""

    request_id: str
    status: str
    at: float
    agent_id: str | None = None
    mark: str | None = None
    """Of an `ok`."""
    reason: str | None = None
    """Of all others."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a provider, by its own book. `ended_at` None: it never ended."""

    provider: str
    prompt_id: str
    at: float
    ended_at: float | None = None
    outcome: str | None = None


@dataclass(frozen=True, slots=True)
class Disturbance:
    """Something that was broken from `begin` to `end`.

    Attributes:
        kind: of the fault.
        detail: which broker, worker or provider.
        begin: of the fault.
        end: when it was undone: the broker serves again, the new worker is ready.
        counted_from: from when on recovery is due; `begin` of what Kafka or the fleet has to work round, such as a dead broker;
            `end` of what nobody can, such as a network that swallows bytes.
        moves_calls: whether calls under way may be made again: not for faults of providers.
    """

    kind: str
    detail: str
    begin: float
    end: float
    counted_from: float
    moves_calls: bool = True


@dataclass(frozen=True, slots=True)
class Limit:
    """What a provider allows: so many calls in any window of so many seconds."""

    requests: int
    window_s: float


@dataclass(frozen=True, slots=True)
class Book:
    """All facts of a run."""

    asked: Mapping[str, Asked] = field(default_factory=dict)
    ended: Sequence[Ended] = ()
    calls: Sequence[Call] = ()
    disturbances: Sequence[Disturbance] = ()
    limits: Mapping[str, Limit] = field(default_factory=dict)
    exits: Sequence[str] = ()
    """Processes that ended by themselves, with their last words."""
    faults_over_at: float = 0.0
    """When the last fault was undone and the load ended; after it all is to be answered within the bound."""


def read_asked(value: bytes, key: bytes | None, timestamp_ms: int, provider_of: Mapping[str, str]) -> Asked:
    """A request as it stands in its topic; `provider_of` names the provider of a model. Raises KeyError, ValueError."""
    found = orjson.loads(value)
    payload = found["payload"]
    hint = payload["headrace_sim"]
    return Asked(
        found["request_id"],
        hint["id"],
        (key or b"").decode(),
        provider_of[payload["model"]],
        f"{body_hash(payload):016x}",
        hint.get("latency_ms", 0) / 1000,
        timestamp_ms / 1000,
    )


def read_ended(value: bytes, timestamp_ms: int) -> Ended:
    """A response as it stands in its topic. Raises KeyError, ValueError."""
    found = orjson.loads(value)
    status, at = found["status"], timestamp_ms / 1000
    if status == "ok":
        return Ended(found["request_id"], status, at, found.get("agent_id"), _mark(found["payload"]))
    reason = (found.get("error") or {}).get("type")
    return Ended(found["request_id"], status, at, found.get("agent_id"), reason=reason)


def _mark(payload: Mapping[str, Any]) -> str:
    """The hash of what was asked, from the text of the answer; the id of the answer must say the same."""
    text = str(payload["choices"][0]["message"]["content"])
    first = text.partition(" ")[0]
    return first if str(payload.get("id", "")) == _ID_PREFIX + first else f"{first} in {payload.get('id')}"


def read_calls(provider: str, lines: Sequence[Mapping[str, Any]]) -> list[Call]:
    """The calls of a provider simulator's book, in the order of their arrival."""
    calls: dict[int, Call] = {}
    for line in lines:
        if line["event"] == "arrival":
            calls[line["call"]] = Call(provider, line["id"] or "", line["at"])
        elif (began := calls.get(line["call"])) is not None:
            calls[line["call"]] = Call(provider, began.prompt_id, began.at, line["at"], line["outcome"])
    return list(calls.values())
