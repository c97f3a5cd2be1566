"""The cache as a stage: it stands between intake and flow, and sees every outcome on its way to delivery.

A hit in memory is answered at once: no task, no await, no queue. What memory lacks is looked up on disk for the whole list in
one task. What is on neither joins an identical call under way, or goes on to be called.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Protocol

import structlog

from schemas.response import NO_USAGE
from streams.cache.answers import Answer
from streams.cache.flights import Flights
from streams.cache.key import cache_key, identity_key, owner_tag, payload_digest
from streams.cache.memory import MemoryTier
from streams.cache.rules import CacheRules
from streams.metrics import definitions as metrics
from streams.money.spent import NOTHING
from streams.pipeline import (
    EndedAs,
    Hit,
    HitResponder,
    Outcome,
    PendingRequest,
    Stage,
    error_outcome,
    expired,
    is_cancelled,
)
from streams.route_shares import RouteShares
from streams.supervise import end, is_told_to_stop, supervised
from streams.trace.marks import Marks
from streams.unanswered import Unanswered

log = structlog.get_logger("headrace.cache")

_SWEEP_S = 0.1
"""How late the end of a joiner's time may be noticed."""


class EntryStore(Protocol):
    """The tier below memory: the table on disk, shared with the other workers."""

    async def find(self, keys: Sequence[bytes], now: float) -> Mapping[bytes, Answer | bytes]:
        """What is there of these keys: answers, and for finished requests the key of theirs. Raises nothing."""

    def put_answer(self, key: bytes, request: PendingRequest, answer: Answer) -> None:
        """Keep an answer and share it. Costs no wait."""

    def put_finished(
        self, key: bytes, request: PendingRequest, answer: Answer, answer_key: bytes | None, expires_at: float
    ) -> None:
        """Remember a finished request; by the key of its answer, or with the answer where that is not kept."""


class Queue(Stage, Protocol):
    """Where misses wait to be called."""

    def withdraw(self, request: PendingRequest) -> bool:
        """Take out one that waits and was never called; False where it is under way, or has ended."""

    def cancel(self, request: PendingRequest, outcome: Outcome) -> EndedAs:
        """End one that is not answered yet; where it was."""


class CacheStage:
    """Takes requests from intake; is the `Responder` of the stages behind it. Call `connect` before the first request.

    `mapping`: what a model's name stands for at its providers, as bytes; empty where for itself.
    """

    def __init__(
        self,
        rules: CacheRules,
        memory: MemoryTier[Answer],
        store: EntryStore,
        responder: HitResponder,
        now: Callable[[], float],
        mapping: Callable[[str], bytes] = lambda _: b"",
        shares: RouteShares | None = None,
    ) -> None:
        self._rules = rules
        self._memory = memory
        self._store = store
        self._responder = self.unanswered = Unanswered(responder)
        self._now = now
        self._mapping = mapping
        self._flights = Flights(shares or RouteShares(None))
        self._following: Queue
        self._missing: list[PendingRequest] = []
        self._under_way: list[PendingRequest] = []
        """Looked up now, and neither answered nor passed on."""
        self._looking_up: asyncio.Task[None] | None = None
        self._sweeper: asyncio.Task[None] | None = None

    def connect(self, following: Queue) -> None:
        """Say where misses go."""
        self._following = following

    # ---- requests in

    def accept(self, requests: Sequence[PendingRequest]) -> None:
        for request in requests:
            self._identify(request)
        missing = self._answer_from_memory(requests)
        if missing:
            self._missing += missing
            if self._looking_up is None:
                self._looking_up = supervised("cache_lookups", self._look_up_all, self._answer_under_way)

    def _answer_from_memory(self, requests: Sequence[PendingRequest]) -> list[PendingRequest]:
        """Answer those that memory has an answer to; which are left."""
        now, find = self._now(), self._in_memory
        hits: list[Hit] = []
        missing: list[PendingRequest] = []
        for request in requests:
            answer = find(request, now)
            if answer is None:
                missing.append(request)
            else:
                hits.append((request, answer))
        if hits:
            metrics.CACHE_REQUESTS.labels("memory").inc(len(hits))
            self._responder.respond_hits(hits, "memory")
        return missing

    async def _look_up_all(self) -> None:
        """One look-up on disk at a time: what came meanwhile is mostly answered by what the one before has found. A worker
        that starts with an empty memory would else look up the same few answers for thousands of requests.
        """
        while self._missing:
            self._under_way, self._missing = self._missing, []
            self._under_way = self._answer_from_memory(self._under_way)
            if self._under_way:
                await self._look_up(self._under_way)
        self._looking_up = None

    def _answer_under_way(self) -> None:
        """After a fault: unanswered, their records would hold their partitions' commits for ever."""
        broken, self._under_way = self._under_way, []
        for request in broken:
            self._responder.respond(
                request, error_outcome("internal", "a fault of the cache's own, see the worker's log")
            )

    def _identify(self, request: PendingRequest) -> None:
        body = request.request
        digest = request.digest
        if not digest:
            digest = request.digest = payload_digest(body.operation, body.payload)
        mode = body.cache.mode
        temperature = body.payload.get("temperature")
        if mode == "off" or (temperature is not None and not self._may_share(temperature)):
            return
        mapping = self._mapping(body.payload["model"])
        tenant = "" if request.tenant in self._rules.shared_by else request.tenant
        key = cache_key(digest, self._rules.namespace, request.agent_id, mapping, tenant)
        if mode != "write_only":
            request.read_key = key
        if mode != "read_only":
            request.store_key = key

    def _may_share(self, temperature: object) -> bool:
        """An answer that was asked to vary is not given to the next caller."""
        return isinstance(temperature, int | float) and temperature <= self._rules.max_temperature

    def _in_memory(self, request: PendingRequest, now: float) -> Answer | None:
        """The answer to its payload; else to this very request, if it was answered before.

        In this order: a payload's answer is right whether the request is new or not, and for most it is there; the identity
        is another hash and look-up, 1.5 us.
        """
        if request.read_key is not None:
            answer = self._memory.responses.get(request.read_key, now)
            if answer is not None:
                return answer
        finished = self._memory.metadata.get(_identity(request), now)
        return self._memory.responses.get(finished, now) if isinstance(finished, bytes) else finished

    async def _look_up(self, requests: Sequence[PendingRequest]) -> None:
        now = self._now()
        wanted = [_identity(request) for request in requests]
        wanted += [request.read_key for request in requests if request.read_key is not None]
        entries: dict[bytes, Answer | bytes] = {}
        hits: list[Hit] = []
        missing: list[PendingRequest] = []
        try:
            entries |= await self._store.find(wanted, now)
            pointed_at = [answer for answer in entries.values() if isinstance(answer, bytes) and answer not in entries]
            if pointed_at:
                entries |= await self._store.find(pointed_at, now)
            for request in requests:
                answer, key = _answer_to(request, entries)
                if answer is None:
                    missing.append(request)
                    continue
                if key is not None:
                    self._remember(key, answer, now)
                hits.append((request, answer))
        except (Exception, asyncio.CancelledError) as error:  # a fault of the cache costs a call
            if is_told_to_stop(error):
                raise
            log.exception("a look-up on disk failed, asking the providers")
            hits, missing = [], list(requests)
        if hits:
            metrics.CACHE_REQUESTS.labels("disk").inc(len(hits))
            self._responder.respond_hits(hits, "disk")
        self._under_way = missing
        self._call(missing)

    def _call(self, requests: Sequence[PendingRequest]) -> None:
        """On to the providers with what nobody is asking yet; the rest joins."""
        now = self._now()
        leading: list[PendingRequest] = []
        joining: list[tuple[bytes, PendingRequest]] = []
        for request in requests:
            request.marks = Marks(now)
            key = request.read_key
            if key is None:
                if self.unanswered.note(request):
                    leading.append(request)
            elif (answer := self._in_memory(request, now)) is not None:  # came in while the disk was asked
                metrics.CACHE_REQUESTS.labels("memory").inc()
                self._responder.respond_hits([(request, answer)], "memory")
            elif not self.unanswered.note(request):
                continue
            elif self._flights.may_join(key, request):
                joining.append((key, request))
            else:
                self._flights.join(key, request)
                leading.append(request)
        self._under_way = []  # from here on each is with the next stage, or among the joiners
        self._lead(leading)  # before others join: then it is known which provider they wait for
        self._lead([request for key, request in joining if self._join(key, request)])
        if len(self._flights) and self._sweeper is None:
            self._sweeper = supervised("cache_joins", self._sweep)

    def _join(self, key: bytes, request: PendingRequest) -> bool:
        """Whether it is to be called itself: the call that it would have joined has ended meanwhile."""
        joined = self._flights.join(key, request)
        if joined == "full":
            message = f"too many requests for the provider {request.route.provider} wait"
            self._responder.respond(request, error_outcome("queue_full", message, retryable=True))
        return joined == "leads"

    def _lead(self, requests: Sequence[PendingRequest]) -> None:
        if requests:
            metrics.CACHE_REQUESTS.labels("miss").inc(len(requests))
            self._following.accept(requests)

    # ---- outcomes out

    def respond(self, request: PendingRequest, outcome: Outcome) -> None:
        """An outcome from the stages behind: kept if it may be, and answered to those who joined."""
        joiners: list[PendingRequest] = []
        overtaken: Sequence[PendingRequest] = ()
        if request.read_key is not None:
            self._flights.leave(request.read_key, request)
            overtaken = self._flights.take_queued(request.read_key, request)
        ok = outcome.status == "ok" and outcome.payload is not None
        if ok:  # shared before the caller knows: who asks again at once, of another worker, should find it
            try:
                self._keep(request, outcome)
            except Exception:  # what is paid for reaches its caller, kept or not
                log.exception("an answer could not be kept")
        self._responder.respond(request, outcome)
        if ok:  # also one that is not kept: the joiners asked the same at the same time
            joiners = [*self._land(request), *filter(self._following.withdraw, overtaken)]
            outcome = replace(outcome, usage=NO_USAGE, cache="joined", attempts=0, spent=NOTHING, call=None, of=request)
        elif is_cancelled(outcome):
            self._promote(request)
        elif outcome.status == "error" and outcome.error is not None and not outcome.error.retryable:
            # The same payload is refused in the same way.
            joiners = [*self._land(request), *filter(self._following.withdraw, overtaken)]
            outcome = replace(outcome, attempts=0, spent=NOTHING, call=None, of=request)
        else:
            self._promote(request)
        for joiner in joiners:
            if joiner.source.live:
                metrics.CACHE_REQUESTS.labels("joined").inc()
                self._responder.respond(joiner, outcome)

    def abandon(self, request: PendingRequest) -> None:
        """The request belongs to another worker now; those who joined it do not."""
        self._responder.abandon(request)
        if request.read_key is not None:
            self._flights.leave(request.read_key, request)
            self._flights.take_queued(request.read_key, request)
        self._promote(request)

    def cancel(self, request: PendingRequest, outcome: Outcome) -> EndedAs:
        """End one that is not answered yet; where it was. A call that others wait for goes on for them."""
        key = request.read_key
        if key is None:
            return self._following.cancel(request, outcome)
        if request.dispatched_at is not None and self._flights.is_waited_for(key, request):
            self.unanswered.leave(request, outcome)
            return "shared"
        if not self._flights.take_joiner(key, request):
            where = self._following.cancel(request, outcome)
        else:
            where = "joined"
            self._responder.respond(request, outcome)
        leader = self._flights.leader(key)
        if leader is not None and self.unanswered.has_left(leader) and not self._flights.is_waited_for(key, leader):
            self._following.cancel(leader, outcome)  # its call went on for those who are gone now
        return where

    def joined(self, request: PendingRequest) -> PendingRequest | None:
        """Whose call it waits for; None where it has joined none."""
        return None if request.read_key is None else self._flights.joined(request.read_key, request)

    def looked_up(self, ids: Collection[str]) -> list[PendingRequest]:
        """Those with one of these ids that are looked up now. Takes time in proportion to what is looked up."""
        return [each for each in chain(self._under_way, self._missing) if each.request_id in ids]

    def _keep(self, request: PendingRequest, outcome: Outcome) -> None:
        now, cache, payload = self._now(), request.request.cache, outcome.payload or b""
        ttl_s, window_s = self._rules.times_of(request.tenant, cache.ttl_s)
        owner = owner_tag(request.agent_id, request.tenant)
        answer = Answer(payload, outcome.usage, outcome.provider or "", now + ttl_s, outcome.model, owner)
        key = request.store_key if outcome.shareable else None
        if key is not None:
            self._remember(key, answer, now)
            self._store.put_answer(key, request, answer)
        until = now + window_s
        identity = _identity(request)
        self._memory.metadata.put(identity, key or answer, 0 if key else len(payload), until, now)
        self._store.put_finished(identity, request, answer, key, until)

    def _remember(self, key: bytes, answer: Answer, now: float) -> None:
        expires_at = min(now + self._rules.memory_ttl_s, answer.expires_at)
        self._memory.responses.put(key, answer, len(answer.payload), expires_at, now)

    def _land(self, leader: PendingRequest) -> list[PendingRequest]:
        return [] if leader.read_key is None else self._flights.complete(leader.read_key, leader)

    def _promote(self, leader: PendingRequest) -> None:
        if leader.read_key is None:
            return
        following, late = self._flights.promote(leader.read_key, leader, self._now())
        for joiner in late:
            self._responder.respond(joiner, expired("while another request's identical call was waited for"))
        if following is not None:
            self._following.accept([following])

    async def _sweep(self) -> None:
        while len(self._flights):
            await asyncio.sleep(_SWEEP_S)
            for joiner in self._flights.take_expired(self._now()):
                if joiner.source.live:
                    self._responder.respond(joiner, expired("while another request's identical call was waited for"))
        self._sweeper = None

    def forget(self, keys: Sequence[bytes]) -> None:
        """Drop from memory what was replaced or purged."""
        for key in keys:
            self._memory.responses.discard(key)
            self._memory.metadata.discard(key)

    def forget_owner(self, owner: str) -> int:
        """Drop from memory all answers that this owner's requests brought; how many. Takes time in proportion to what is held."""
        return self._memory.discard_all(lambda held: isinstance(held, Answer) and held.owner == owner)

    async def stop(self) -> None:
        """Cancel look-ups; their records stay unfinished and go to the next owner."""
        await end(task for task in (self._looking_up, self._sweeper) if task is not None)


def _identity(request: PendingRequest) -> bytes:
    if not request.identity:
        request.identity = identity_key(request.digest, request.agent_id, request.request_id, request.tenant)
    return request.identity


def _answer_to(request: PendingRequest, entries: Mapping[bytes, Answer | bytes]) -> tuple[Answer | None, bytes | None]:
    """The answer to a request among what was found, and the key under which memory may keep it."""
    finished = entries.get(_identity(request))
    if isinstance(finished, Answer):
        return finished, None
    for key in (finished, request.read_key):
        answer = entries.get(key) if key is not None else None
        if isinstance(answer, Answer):
            return answer, key
    return None, None
