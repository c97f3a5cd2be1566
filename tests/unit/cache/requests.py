"""Requests for tests of the cache: real ones, with a record that notes how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.request import Request
from schemas.response import CacheResult
from streams.cache.answers import Answer
from streams.pipeline import EndedAs, Hit, Outcome, PendingRequest


@dataclass
class Record:
    """Stands for a record of the transport: owned by this worker until told otherwise."""

    live: bool = True

    def finish(self, start: int, stop: int | None = None) -> None: ...

    def stuck(self, is_stuck: bool) -> None: ...


def pending(
    request_id: str,
    question: str = "hi",
    *,
    agent_id: str = "a",
    received_at: float = 0.0,
    wait_s: float = 30.0,
    timeout_s: float | None = None,
    mode: str = "read_write",
    ttl_s: float | None = None,
    **payload: Any,
) -> PendingRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": question}], **payload}
    request = Request.model_validate({"payload": body, "cache": {"mode": mode, "ttl_s": ttl_s}})
    expires_at = None if timeout_s is None else received_at + timeout_s
    return PendingRequest(
        request=request,
        request_id=request_id,
        agent_id=agent_id,
        priority="normal",
        source=Record(),
        index=0,
        event_id=request_id.encode(),
        received_at=received_at,
        dispatch_by=received_at + wait_s if expires_at is None else expires_at,
        expires_at=expires_at,
        reply_topic="agent.responses",
    )


@dataclass
class Ends:
    """The end of the pipeline: how each request ended, in order."""

    responses: list[tuple[str, Outcome]] = field(default_factory=list)
    abandoned: list[str] = field(default_factory=list)

    def respond(self, request: PendingRequest, outcome: Outcome) -> None:
        self.responses.append((request.request_id, outcome))

    def respond_hits(self, hits: Sequence[Hit], found_in: CacheResult) -> None:
        for request, answer in hits:
            self.respond(request, answer.outcome(found_in))

    def abandon(self, request: PendingRequest) -> None:
        self.abandoned.append(request.request_id)

    def of(self, request_id: str) -> list[Outcome]:
        return [outcome for name, outcome in self.responses if name == request_id]


@dataclass
class Calls:
    """The stage behind the cache: who is to be called."""

    requests: list[PendingRequest] = field(default_factory=list)

    def accept(self, requests: Sequence[PendingRequest]) -> None:
        self.requests += requests

    def withdraw(self, request: PendingRequest) -> bool:
        if request not in self.requests or request.dispatched_at is not None:
            return False
        self.requests.remove(request)
        return True

    def cancel(self, request: PendingRequest, outcome: Outcome) -> EndedAs:
        raise AssertionError("nobody cancels anything here")

    def names(self) -> list[str]:
        return [request.request_id for request in self.requests]


@dataclass
class DictStore:
    """The tier below memory as a dictionary."""

    found: dict[bytes, Answer | bytes] = field(default_factory=dict)
    looked_up: list[Sequence[bytes]] = field(default_factory=list)

    async def find(self, keys: Sequence[bytes], now: float) -> Mapping[bytes, Answer | bytes]:
        self.looked_up.append(keys)
        return {key: self.found[key] for key in keys if key in self.found}

    def put_answer(self, key: bytes, request: PendingRequest, answer: Answer) -> None:
        self.found[key] = answer

    def put_finished(
        self, key: bytes, request: PendingRequest, answer: Answer, answer_key: bytes | None, expires_at: float
    ) -> None:
        self.found[key] = answer_key or answer
