"""Where a request is and why it waits, in words and codes that every part shares; and who is asked for it.

Nothing is noted for this while requests pass: the state is read when somebody asks. What the stages tell is put together here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from streams.pipeline import Attending, Lack, PendingRequest
from topics.names import Priority

Stage = Literal[
    "unread", "received", "cache", "joined", "queue", "call", "delivering", "finished", "elsewhere", "unknown"
]
"""`unread`: still in Kafka. `received`: taken, and being decoded or its reply topic looked up. `cache`: looked up on disk.
`joined`: waits for another request's identical call. `queue`: waits for dispatch. `call`: with a provider. `delivering`: its
answer is on its way to the broker. `finished`: it has its answer. `elsewhere`: its partition is another worker's. `unknown`:
no such request here.
"""

Reason = (
    Lack
    | Literal[
        "turn",
        "class_paused",
        "admission_rate",
        "worker_calls",
        "kept_for_high",
        "agent_calls",
        "agent_over",
        "tenant_calls",
        "tenant_rate",
        "order",
        "merging",
        "input_size",
        "membership",
        "backoff",
        "room",
        "budget",
        "partition_full",
        "class_full",
        "partition_held",
        "reading",
    ]
)

WORDS: Final[Mapping[Reason, str]] = {
    "turn": "it is about to go",
    "class_paused": "an operator has paused its class (headrace resume)",
    "admission_rate": "the worker's rate of admission (backpressure.rate) is used up",
    "worker_calls": "the worker has as many calls under way as it may (concurrency.total, pool.workers)",
    "kept_for_high": "the worker's last places for calls are kept for class high (concurrency.high_share)",
    "agent_calls": "its agent has as many calls under way as it may (concurrency.per_agent)",
    "agent_connections": "its agent has all its connections in use (agents.connections.pool_size)",
    "agent_over": "its agent is over a threshold, and waits behind the others (agents.memory, agents.cpu)",
    "tenant_calls": "its tenant has as many calls under way as it may (tenants.<name>.concurrency)",
    "tenant_rate": "its tenant's rate is used up (tenants.<name>.rate)",
    "order": "an earlier request of its conversation or agent has no answer yet (queueing.ordering)",
    "merging": "it waits for others to share its call (pool.batch.timeout)",
    "input_size": "a call of several was refused, and its parts are tried one after the other",
    "membership": "the worker does not know whether its partitions are still its own",
    "provider_limit": "the provider's limit is reached, and a grant is waited for (providers[].rate_limit)",
    "provider_pause": "the provider asked for a pause (Retry-After)",
    "provider_connections": "all connections to the provider are in use (providers[].connections.max)",
    "endpoint_slots": "the provider's hosts have as many calls under way as they may (concurrency.per_host)",
    "endpoints_down": "no endpoint of the provider takes calls now",
    "bandwidth": "the provider's bandwidth is used up (providers[].bandwidth)",
    "body_memory": "the bodies under way take as much memory as they may (providers[].memory)",
    "unknown": "the provider takes no call now",
    "backoff": "an attempt has failed, and the next one follows after a pause",
    "room": "an attempt has failed, and there is no room for the next one yet",
    "budget": "a budget is asked whether the next attempt may be paid, or others have set its rest aside (budgets)",
    "partition_full": "its partition has as many unfinished records in the worker as it may (backpressure.partition_records)",
    "class_full": "its class has as many unfinished records in the worker as it may",
    "partition_held": "its partition is held",
    "reading": "records before it are read first",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that is asked for. `record`, `topic:partition:offset`, tells it from others of the same id."""

    request_id: str
    record: str | None = None


MOST_ASKED: Final = 500
"""Requests in one question."""


def read_asked(value: Any) -> list[Asked]:
    """`{"requests": [{"id": …, "record": …}, …]}` as parsed JSON. Raises ValueError where it is something else, or too many."""
    found = value.get("requests") if isinstance(value, dict) else None
    if not isinstance(found, list) or len(found) > MOST_ASKED:
        raise ValueError(f'not a question: {{"requests": [{{"id": ..., "record": ...}}]}}, at most {MOST_ASKED}')
    asked: list[Asked] = []
    for each in found:
        request_id, record = (each.get("id"), each.get("record")) if isinstance(each, dict) else (None, None)
        if not isinstance(request_id, str) or not (record is None or isinstance(record, str)):
            raise ValueError("each request has an id, and perhaps a record, both texts")
        asked.append(Asked(request_id, record))
    return asked


@dataclass(frozen=True, slots=True)
class QueueState:
    """What flow says of a request. `position` 1: it is the next of its queue (class, provider and model group).

    `predicted_s`: until its call begins, None where nobody knows.
    """

    stage: Literal["queue", "call"]
    reason: Reason | None
    position: int | None = None
    predicted_s: float | None = None
    attending: Attending | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class RecordState:
    """What transport says of a record."""

    stage: Literal["unread", "received", "taken", "finished", "elsewhere"]
    """`received`: nothing was done with it yet. `taken`: it is somewhere in the worker."""
    ahead: int | None = None
    """Records of its partition that are read before it."""
    reason: Reason | None = None
    detail: str = ""
    partitions: int = 1
    """How many partitions of its class the worker reads."""
    priority: Priority | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """Where one request is. Times in seconds; None where unknown."""

    request_id: str
    stage: Stage
    reason: Reason | None = None
    words: str = ""
    """The reason as a sentence, for people."""
    position: int | None = None
    predicted_s: float | None = None
    waited_s: float | None = None
    agent_id: str | None = None
    priority: Priority | None = None
    record: str | None = None
    provider: str | None = None
    model: str | None = None
    endpoint: str | None = None
    attempts: int = 0
    joined: str | None = None
    """The request whose call is waited for; for operators: it may be another agent's."""


class FlowStates(Protocol):
    """What flow can be asked."""

    def tell(self, requests: Sequence[PendingRequest]) -> Sequence[QueueState]:
        """Of each request that was given to it and is not answered."""

    def unread_s(self, priority: Priority, ahead: int) -> float | None:
        """Seconds until a request of the class that comes behind so many more is dispatched."""


class Waits:
    """Answers the question where requests are, for a whole worker."""

    def __init__(
        self,
        find: Callable[[str], Iterator[PendingRequest]],
        leader: Callable[[PendingRequest], PendingRequest | None],
        looked_up: Callable[[Collection[str]], Sequence[PendingRequest]],
        flow: FlowStates,
        record: Callable[[str], RecordState | None],
        in_intake: Callable[[bytes], bool],
        now: Callable[[], float],
    ) -> None:
        self._find = find
        self._leader = leader
        self._looked_up = looked_up
        self._flow = flow
        self._record = record
        self._in_intake = in_intake
        self._now = now

    def ask(self, asked: Sequence[Asked]) -> list[Told]:
        """Where each of these requests is, in their order; of several of one id, without a record, the first that is found."""
        found: list[PendingRequest | None] = [self._passed_on(each) for each in asked]
        missing = {each.request_id for each, request in zip(asked, found, strict=True) if request is None}
        in_cache = self._looked_up(missing) if missing else ()
        leaders = {id(request): self._leader(request) for request in found if request is not None}
        in_flow = [leaders[id(request)] or request for request in found if request is not None]
        states = iter(self._flow.tell(in_flow))
        told: list[Told] = []
        for each, request in zip(asked, found, strict=True):
            if request is not None:
                told.append(self._of(request, leaders[id(request)], next(states)))
                continue
            looking = next((one for one in in_cache if _is(one, each)), None)
            told.append(self._elsewhere(each) if looking is None else self._base(looking, "cache"))
        return told

    def _passed_on(self, asked: Asked) -> PendingRequest | None:
        return next((request for request in self._find(asked.request_id) if _is(request, asked)), None)

    def _of(self, request: PendingRequest, leader: PendingRequest | None, state: QueueState) -> Told:
        detail = f": {state.detail}" if state.detail else ""
        words = "" if state.reason is None else WORDS[state.reason] + detail
        stage: Stage = state.stage
        if leader is not None:
            stage = "joined"
            words = "another request's identical call is waited for" + (
                f": {words}" if words else ", which is under way"
            )
        call = state.attending
        base = self._base(request, stage)
        return Told(
            base.request_id,
            stage,
            state.reason,
            words,
            state.position,
            None if state.predicted_s is None else round(state.predicted_s, 3),
            base.waited_s,
            base.agent_id,
            base.priority,
            base.record,
            call.provider if call else request.route.provider or None,
            call.model if call else request.request.payload["model"],
            call.endpoint if call else None,
            call.attempts if call else 0,
            None if leader is None else leader.request_id,
        )

    def _base(self, request: PendingRequest, stage: Stage) -> Told:
        return Told(
            request.request_id,
            stage,
            waited_s=round(max(0.0, self._now() - request.received_at), 3),
            agent_id=request.agent_id,
            priority=request.priority,
            record=request.event_id.decode(),
        )

    def _elsewhere(self, asked: Asked) -> Told:
        """Neither in the cache nor behind it: what is known by its record."""
        state = None if asked.record is None else self._record(asked.record)
        if state is None or asked.record is None:
            return Told(asked.request_id, "unknown")
        if state.stage == "taken":
            stage: Stage = "received" if self._in_intake(asked.record.encode()) else "delivering"
            return Told(asked.request_id, stage, priority=state.priority, record=asked.record)
        if state.stage != "unread" or state.ahead is None or state.priority is None:
            return Told(asked.request_id, state.stage, priority=state.priority, record=asked.record)
        predicted_s = self._flow.unread_s(state.priority, state.ahead * state.partitions)
        reason: Reason = state.reason or "reading"
        return Told(
            asked.request_id,
            "unread",
            reason,
            WORDS[reason] + (f": {state.detail}" if state.detail else ""),
            state.ahead + 1,
            None if predicted_s is None else round(predicted_s, 3),
            priority=state.priority,
            record=asked.record,
        )


def _is(request: PendingRequest, asked: Asked) -> bool:
    return request.request_id == asked.request_id and (
        asked.record is None or request.event_id == asked.record.encode()
    )
