"""The first stage: record lists in, requests out; what is no request or comes too late ends here."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Final, Protocol

import structlog

from schemas.json_nodes import most_nodes
from streams.intake.dated import dated
from streams.intake.decode import Decoder
from streams.kafka.records import Origin, Record
from streams.metrics import definitions as metrics
from streams.pipeline import PendingRequest, Rejected, Responder, Source, Stage, error_outcome, expired
from streams.supervise import Jobs, supervised
from streams.tenants import NO_TENANTS, TenantRules
from streams.transport.offsets import RecordList
from topics.names import V1, TopicNames

log = structlog.get_logger("headrace.intake")

_AT_ONCE = 64
"""Requests passed on together. A decoded request is about 3 KB: so many are answered while they are still in the CPU's cache.
With 500 at once a hit took 1.5 us more (docs/performance.md)."""


_LEAVE_S: Final = 5.0
"""What is left of a wait that a new owner may need to get to a stream that it has taken over."""
_HEAVY_BYTES: Final = 2_048
_HEAVY_NODES: Final = 500
"""A value that is larger, and may become more objects than this, is decoded apart from the others: 1 us an object, and a list has
500 values."""


@dataclass(frozen=True, slots=True)
class _Heavy:
    record: Record
    origin: Origin
    source: Source
    index: int


class Rejections(Protocol):
    """Where poison goes."""

    def reject(self, record: Record, origin: Origin, source: Source, index: int, refused: Rejected) -> None:
        """Write a dead letter, and a `rejected` response if somebody can be told; then the record is finished."""


class ReplyTopics(Protocol):
    """Which topics an answer may go to."""

    def is_known(self, topic: str) -> bool | None:
        """Whether the topic may be used; None if that has to be looked up first."""

    async def look_up(self, topic: str) -> bool:
        """Ask the cluster. Within a bound; an answer that does not come is a no."""


class Begun(Protocol):
    """Which streams another worker had begun to tell, before their partition came here."""

    def may_have(self, request: PendingRequest) -> bool:
        """Whether that may be so, and is worth looking it up."""

    async def has(self, request: PendingRequest) -> bool:
        """Whether it is so, and its answer can be gone on with. Within a bound."""


class _NoneBegun:
    def may_have(self, request: PendingRequest) -> bool:
        return False

    async def has(self, request: PendingRequest) -> bool:
        return False


NONE_BEGUN: Final[Begun] = _NoneBegun()


class Intake:
    """Decodes record lists and passes the valid requests on to the next stage."""

    def __init__(
        self,
        decoder: Decoder,
        following: Stage,
        answers: Responder,
        rejections: Rejections,
        reply_topics: ReplyTopics,
        now: Callable[[], float],
        names: TopicNames = V1,
        tenants: Mapping[str, TenantRules] = NO_TENANTS,
        begun: Begun = NONE_BEGUN,
    ) -> None:
        self._begun = begun
        self._decoder = decoder
        self._following = following
        self._answers = answers
        self._rejections = rejections
        self._reply_topics = reply_topics
        self._now = now
        self._heavy: deque[_Heavy] = deque()
        self._in_hand: _Heavy | None = None
        self._decoding: asyncio.Task[None] | None = None
        self._look_ups = Jobs("reply_lookups")
        self._looked_up: set[bytes] = set()
        """Records whose reply topics are looked up now."""
        self._received = {topic: metrics.RECEIVED.labels(priority) for topic, priority in names.priority_of.items()}
        self._names = names
        self._tenants = tenants

    def accept(self, lists: Sequence[RecordList]) -> None:
        """Take over the records of these lists. Every one of them ends in a response or a dead letter."""
        now = self._now()
        valid: list[PendingRequest] = []
        for records in lists:
            origin, taken = records.origin, dated(records.start(), now)
            topic = self._names.request_topics[origin.topic]
            responses, tenant = topic.responses, self._tenants.get(topic.tenant)
            for index, record in enumerate(taken):
                value = record.value
                if value is not None and len(value) > _HEAVY_BYTES and most_nodes(value) > _HEAVY_NODES:
                    self._heavy.append(_Heavy(record, origin, records, index))
                    continue
                found = self._decode(record, origin, records, index, now)
                if isinstance(found, Rejected):
                    self._reject(record, origin, records, index, found)
                elif found.reply_topic != responses or (tenant is not None and tenant.restricts):
                    self._check_reply_topic(found)
                elif found.dispatch_by <= now + _LEAVE_S and self._sets_aside_late(found):
                    continue
                else:
                    valid.append(found)
                    if len(valid) == _AT_ONCE:
                        self._following.accept(valid)
                        valid = []
            self._received[origin.topic].inc(len(taken))
        if valid:
            self._following.accept(valid)
        if self._heavy and self._decoding is None:
            self._decoding = supervised("heavy_records", self._decode_heavy, self._reject_in_hand)

    def _decode(
        self, record: Record, origin: Origin, source: Source, index: int, now: float
    ) -> PendingRequest | Rejected:
        try:
            found = self._decoder.decode(record, origin, source, index)
            if type(found) is PendingRequest:
                found.read_at = now
            return found
        except Exception as error:  # a fault of ours must cost one record, not the worker that takes it, and the next
            event_id = origin.event_id(record.offset).decode()
            log.exception("a record that cannot be decoded", record=event_id)
            return Rejected("poison", "internal", f"decoding failed: {type(error).__name__}", event_id)

    async def _decode_heavy(self) -> None:
        """One heavy value after the other, with as much time for everything else in between as each took."""
        while self._heavy:
            heavy = self._in_hand = self._heavy.popleft()
            if heavy.source.live:
                began = time.perf_counter()
                found = self._decode(heavy.record, heavy.origin, heavy.source, heavy.index, self._now())
                took_s = time.perf_counter() - began
                if isinstance(found, Rejected):
                    self._reject(heavy.record, heavy.origin, heavy.source, heavy.index, found)
                else:
                    found.decode_s = took_s
                    self._check_reply_topic(found)
                self._in_hand = None
                await asyncio.sleep(took_s)
        self._decoding = None

    def _reject_in_hand(self) -> None:
        """After a fault: unanswered, the record would hold its partition's commits for ever."""
        heavy, self._in_hand = self._in_hand, None
        if heavy is not None:
            broken = Rejected(
                "poison", "internal", "decoding failed", heavy.origin.event_id(heavy.record.offset).decode()
            )
            self._rejections.reject(heavy.record, heavy.origin, heavy.source, heavy.index, broken)

    def holds(self, event_id: bytes) -> bool:
        """Whether a record that has come is not passed on yet: it is to be decoded, or its reply topic is looked up."""
        heavy = chain(self._heavy, [self._in_hand] if self._in_hand else ())
        return event_id in self._looked_up or any(
            each.origin.event_id(each.record.offset) == event_id for each in heavy
        )

    def _check_reply_topic(self, request: PendingRequest) -> None:
        def answer() -> None:
            request.reply_topic = self._own_responses(request)
            self._answers.respond(request, error_outcome("internal", "a fault of the pipeline's own, see its log"))

        self._once_known(request.reply_topic, request.tenant, request.event_id, partial(self._go_on, request), answer)

    def _own_responses(self, request: PendingRequest) -> str:
        return self._names.responses_of(request.tenant)

    def _reject(self, record: Record, origin: Origin, source: Source, index: int, found: Rejected) -> None:
        """The caller is told where it wants to be told, if answers may go there."""

        def go_on(known: bool) -> None:
            told = found if known else replace(found, reply_topic=None, reply_partition=None)
            self._rejections.reject(record, origin, source, index, told)

        if found.agent_id is None or found.reply_topic is None:
            self._rejections.reject(record, origin, source, index, found)
        else:
            event_id = origin.event_id(record.offset)
            tenant = self._names.request_topics[origin.topic].tenant
            self._once_known(found.reply_topic, tenant, event_id, go_on, partial(go_on, False))

    def _once_known(
        self, topic: str, tenant: str, event_id: bytes, go_on: Callable[[bool], None], on_fault: Callable[[], None]
    ) -> None:
        names = self._names
        known = topic == names.responses_of(tenant) or (
            names.may_answer_on(topic, tenant) and self._reply_topics.is_known(topic)
        )
        if known is None:
            self._looked_up.add(event_id)
            self._look_ups.start(self._look_up(topic, go_on, event_id), partial(self._give_up, event_id, on_fault))
        else:
            go_on(known)

    def _give_up(self, event_id: bytes, on_fault: Callable[[], None]) -> None:
        self._looked_up.discard(event_id)
        on_fault()

    async def _look_up(self, topic: str, go_on: Callable[[bool], None], event_id: bytes) -> None:
        try:
            known = await self._reply_topics.look_up(topic)
        except Exception:  # a fault of ours: unanswered, the record would hold its partition's commits for ever
            log.exception("a reply topic could not be looked up, it is taken for unknown", topic=topic[:249])
            known = False
        self._looked_up.discard(event_id)
        go_on(known)

    def _go_on(self, request: PendingRequest, known: bool) -> None:
        tenant = self._tenants.get(request.tenant)
        if not known:
            own = self._own_responses(request)
            wanted, request.reply_topic, request.reply_partition = request.reply_topic, own, None
            message = f"reply_to names no topic that answers may go to: {wanted[:249]!r}"
            self._answers.respond(request, error_outcome("invalid_reply_to", message))
        elif tenant is not None and (refusal := tenant.refusal(request.agent_id, request.request.payload["model"])):
            self._answers.respond(request, error_outcome("invalid_request", refusal))
        elif not (request.dispatch_by <= self._now() + _LEAVE_S and self._sets_aside_late(request)):
            self._following.accept([request])

    def _sets_aside_late(self, request: PendingRequest) -> bool:
        """Whether a request whose wait is over, or nearly so, is not passed on now: it is answered, or first looked up.

        A stream that another worker had begun has waited in time. It may be longer under way by now than its class may wait, and
        its reader has the beginning: it is gone on with as if it came now. What nobody has begun is late.
        """
        now = self._now()
        has_time = request.expires_at is None or request.expires_at > now
        if has_time and request.streams and self._begun.may_have(request):
            event_id = request.event_id
            self._looked_up.add(event_id)
            late = partial(self._answers.respond, request, expired("before the request was read"))
            self._look_ups.start(self._look_whether_begun(request), partial(self._give_up, event_id, late))
            return True
        if request.dispatch_by > now:
            return False
        self._answers.respond(request, expired("before the request was read"))
        return True

    async def _look_whether_begun(self, request: PendingRequest) -> None:
        begun = await self._begun.has(request)
        self._looked_up.discard(request.event_id)
        now = self._now()
        if begun:
            request.dispatch_by = request.expires_at or now + (request.dispatch_by - request.received_at)
        if request.dispatch_by > now:
            self._following.accept([request])
        else:
            self._answers.respond(request, expired("before the request was read"))
