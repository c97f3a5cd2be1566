"""Records and requests as the stages see them, and sources that remember what they were told."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from schemas.request import Request
from streams.flow.build import flow_rules
from streams.flow.rules import FlowRules
from streams.kafka.records import Origin
from streams.pipeline import PendingRequest, Source
from streams.settings import Settings
from topics.names import RESPONSES, TOPIC_OF, Priority

_numbers = itertools.count()


async def until(condition: Callable[[], object], timeout_s: float = 60.0) -> None:
    """Let the event loop turn until the condition holds. TimeoutError if it does not in time."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - a condition over what several tasks leave behind has no event
            await asyncio.sleep(0.001)


@dataclass
class SampleRecord:
    """A record of a request topic."""

    value: bytes | None = b"{}"
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()
    topic: str = TOPIC_OF["normal"]
    partition: int = 3
    offset: int = 41
    timestamp: int = 1_000_000

    @property
    def origin(self) -> Origin:
        return Origin(self.topic, self.partition)


@dataclass
class SampleSource:
    """Where records come from: remembers which were finished, and whether their answers are stuck."""

    live: bool = True
    finished: list[int] = field(default_factory=list)
    marks: list[bool] = field(default_factory=list)

    def finish(self, start: int, stop: int | None = None) -> None:
        self.finished.extend(range(start, start + 1 if stop is None else stop))

    def stuck(self, is_stuck: bool) -> None:
        self.marks.append(is_stuck)


def rules(**changes: Any) -> FlowRules:
    """The default rules, with some of them changed."""
    return replace(flow_rules(Settings()), **changes)


def pending(
    *,
    agent: str | None = None,
    priority: Priority = "normal",
    source: Source | None = None,
    index: int = 0,
    model: str = "small",
    payload: Mapping[str, Any] | None = None,
    received_at: float = 1000.0,
    dispatch_by: float = 2000.0,
    expires_at: float | None = None,
    reply_topic: str = RESPONSES,
    traceparent: bytes | None = None,
    request_id: str | None = None,
    conversation_id: str | None = "chat-1",
) -> PendingRequest:
    """A valid request, with an id of its own."""
    number = next(_numbers)
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], **(payload or {})}
    return PendingRequest(
        request=Request(payload=body, conversation_id=conversation_id),
        request_id=request_id or f"request-{number}",
        agent_id=agent or f"agent-{number % 7}",
        priority=priority,
        source=SampleSource() if source is None else source,
        index=index,
        event_id=f"{TOPIC_OF[priority]}:0:{number}".encode(),
        received_at=received_at,
        dispatch_by=dispatch_by,
        expires_at=expires_at,
        reply_topic=reply_topic,
        traceparent=traceparent,
        size=500,
    )
