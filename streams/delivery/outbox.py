"""Answers on their way to the broker: batched by themselves, acked before a record is finished, sent until they are taken.

One open batch for each topic and partition. What is posted in one turn of the event loop leaves together, one request to each
broker; while that is under way, what comes for the broker collects for the next one. So a burst of hits travels in large batches,
and a single answer does not wait for company.

A batch that the broker does not take is sent again, for as long as this worker owns the records: nothing is finished without
an ack, and nothing overtakes it. The partitions whose answers are stuck are held meanwhile, so that they bring no more. Only a
topic that is a caller's own is given up after a while, and holds nothing (reply_trouble.py).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import Final

import structlog
from aiokafka.errors import NodeNotReadyError
from aiokafka.structs import TopicPartition

from streams.backoff import equal_jitter_s, exponential_s
from streams.delivery.batch import Batch, Message
from streams.delivery.reply_trouble import GRACE_S, ReplyTroubles
from streams.kafka.cluster import NO_LEADER, Cluster
from streams.kafka.repeats import Repeats
from streams.metrics import definitions as metrics
from streams.supervise import Jobs, fault
from topics.broker_errors import Advice, BrokerRefusalError, advice_for, code_of, explain_error

log = structlog.get_logger("headrace.delivery")

_FIRST_RETRY_S, _LAST_RETRY_S = 0.2, 5.0

_TOO_LARGE: Final = (10, 18)
"""MESSAGE_TOO_LARGE and RECORD_LIST_TOO_LARGE."""
_UNKNOWN_TOPIC: Final = 3
_NO_LEADER_CODE: Final = 5

_REQUEST_BYTES: Final = 8 * 2**20
"""A request takes no further batch above that; brokers refuse 100 MB (`socket.request.max.bytes`)."""


@dataclass(slots=True)
class _Lane:
    """One partition's batches. One is under way at most; of those that wait the last one is open."""

    to: TopicPartition
    waiting: deque[Batch] = field(default_factory=deque)
    busy: bool = False
    """Whether a batch is under way, or the next one is about to be."""
    undecided: Batch | None = None
    """Taken from `waiting`, and neither acked, nor given up, nor about to be sent again."""


class Outbox:
    """Sends messages to partitions and tells their receipts.

    Args:
        cluster: as a running producer knows it.
        batch_bytes: most bytes of a batch; a larger message travels by itself.
        timeout_s: how long a broker may wait for its replicas.
        troubles: what is known of callers' own topics that take nothing.
    """

    def __init__(
        self, cluster: Cluster, batch_bytes: int, timeout_s: float, troubles: ReplyTroubles | None = None
    ) -> None:
        self._cluster = cluster
        self._batch_bytes = batch_bytes
        self._timeout_ms = round(timeout_s * 1000)
        self._lanes: dict[TopicPartition, _Lane] = {}
        self._ready: list[_Lane] = []
        self._next_turn: asyncio.Handle | None = None
        self._following: dict[int, list[_Lane]] = {}
        """By broker with a request under way: who leaves with the next one."""
        self._jobs = Jobs("outbox")
        self._troubles = ReplyTroubles(inf, 0) if troubles is None else troubles
        self._failing: dict[str, float] = {}
        """By topic: since when it takes nothing."""
        self._repeats = Repeats()

    def refuses(self, topic: str) -> bool:
        """Whether a caller's own topic has taken nothing for so long that nothing should be sent there now."""
        return bool(self._troubles) and self._troubles.refuses(topic, time.monotonic())

    def post(self, to: TopicPartition, message: Message) -> None:
        """Send one message; its receipt is finished once the broker has acked it."""
        if self._troubles and message.on_undeliverable is not None and to.topic in self._troubles:
            waiting = sum(
                len(batch) for lane in self._lanes.values() if lane.to.topic in self._troubles for batch in lane.waiting
            )
            if self._troubles.is_full(to.topic, waiting, time.monotonic()):
                message.on_undeliverable("too many answers wait for a topic that takes none")
                return
        message.headers = self._cluster.signed(to.topic, message.key, message.value, message.headers)
        lane = self._lanes.get(to)
        if lane is None:
            lane = self._lanes[to] = _Lane(to)
        if not lane.waiting or not lane.waiting[-1].append(message):
            lane.waiting.append(Batch(to, message, self._batch_bytes))
        if not lane.busy:
            self._go_on(lane)

    def _go_on(self, lane: _Lane) -> None:
        """The lane's next batch, if there is one: nothing of it is under way."""
        lane.undecided = None
        lane.busy = bool(lane.waiting)
        if lane.busy:
            self._leave_soon([lane])

    def _leave_soon(self, lanes: Iterable[_Lane]) -> None:
        self._ready += lanes
        if self._ready and self._next_turn is None:
            self._next_turn = asyncio.get_running_loop().call_soon(self._leave)

    def _leave(self) -> None:
        """One request to each broker that has none under way, with a batch of each lane that is ready."""
        self._next_turn = None
        ready, self._ready = self._ready, []
        leader_of = self._cluster.leader
        leaving: dict[int, list[_Lane]] = {}
        for lane in ready:
            try:
                node_id = leader_of(lane.to)
            except Exception as error:  # of the client: the others must not wait for it
                fault("outbox", error, "no leader can be told, asking for it", topic=lane.to.topic)
                node_id = None
            if node_id in (None, NO_LEADER):
                self._jobs.start(self._find_leader(lane), partial(self._resume, [lane]))
            else:
                leaving.setdefault(node_id, []).append(lane)
        for node_id, lanes in leaving.items():
            if node_id in self._following:
                self._following[node_id] += lanes
            else:
                self._following[node_id] = []
                self._jobs.start(self._send(node_id, lanes), partial(self._resume_all, node_id, lanes))

    async def _find_leader(self, lane: _Lane) -> None:
        """Look once who leads the lane's partition: nobody knew, and perhaps there is no such topic."""
        self._cluster.follow(lane.to.topic)
        told = await self._cluster.refresh()
        leader = self._cluster.leader(lane.to)
        if leader not in (None, NO_LEADER):
            self._leave_soon([lane])
            return
        batch = lane.undecided = lane.waiting.popleft()
        batch.attempts += 1
        if not told:
            self._on_failure(lane, batch, NodeNotReadyError("no broker tells who leads the partition"))
        else:
            code = _UNKNOWN_TOPIC if leader is None else _NO_LEADER_CODE
            self._on_failure(lane, batch, BrokerRefusalError(code, "{}:{}".format(*lane.to)))

    async def _send(self, node_id: int, lanes: Sequence[_Lane]) -> None:
        sent: list[tuple[_Lane, Batch]] = []
        size = 0
        for lane in lanes:
            if size > _REQUEST_BYTES:
                self._following[node_id].append(lane)
                continue
            batch = lane.undecided = lane.waiting.popleft()
            batch.attempts += 1
            size += batch.size
            sent.append((lane, batch))
        errors: Mapping[TopicPartition, Exception]
        try:
            written = {batch.to: batch.written() for _, batch in sent}
            errors = await self._cluster.produce(node_id, written, self._timeout_ms)
        except Exception as error:  # whatever it is, nothing was acked
            errors = {batch.to: error for _, batch in sent}
        self._leave_soon(self._following.pop(node_id))
        for lane, batch in sent:
            try:
                if (failed := errors.get(batch.to)) is None:
                    self._on_ack(lane, batch)
                else:
                    self._on_failure(lane, batch, failed)
            except Exception as error:  # a fault of ours in one of them must not keep the others
                where = "{}:{}".format(*batch.to)
                fault(
                    "outbox", error, "a batch could not be settled, it is sent again if it is needed", partition=where
                )
                self._resume([lane])

    def _on_ack(self, lane: _Lane, batch: Batch) -> None:
        self._go_on(lane)
        self._troubles.acked(lane.to.topic, time.monotonic())
        if self._failing and self._failing.pop(lane.to.topic, None) is not None and self._repeats.over(lane.to.topic):
            log.info("the broker takes answers again", topic=lane.to.topic)
        if batch.attempts > 1:
            self._mark(batch, stuck=False)
        batch.records.finish()

    def _on_failure(self, lane: _Lane, batch: Batch, error: Exception) -> None:
        advice, code = advice_for(error), code_of(error)
        if code in _TOO_LARGE or (advice is Advice.RECORD and batch.of_a_caller):
            if len(batch) > 1:  # the topic takes less than our batches hold: each by itself
                alone = [Batch.alone(batch.to, message, batch.attempts) for message in batch.messages()]
                lane.waiting.extendleft(reversed(alone))
                self._go_on(lane)
                return
            on_refused = next(batch.messages()).on_refused
            if code in _TOO_LARGE and on_refused is not None:
                self._go_on(lane)
                self._mark(batch, stuck=False)
                on_refused()
                return
        if advice is Advice.ELSEWHERE:
            self._cluster.refresh_soon()
        now = time.monotonic()
        if batch.of_a_caller:
            self._on_callers_failure(lane, batch, error, now)
            return
        lasted_s = now - self._failing.setdefault(lane.to.topic, now)
        passes = advice in (Advice.ELSEWHERE, Advice.LATER)  # a leader that moves, a lost connection
        if batch.attempts > 1 or not passes:
            metrics.SEND_FAILURES.inc()
            self._mark(batch, stuck=True)
        if not passes or lasted_s >= GRACE_S:
            self._say(
                lane,
                batch,
                error,
                "the broker does not take answers, sending them again: check the topic and the broker",
            )
        self._send_again_later(lane, batch)

    def _on_callers_failure(self, lane: _Lane, batch: Batch, error: Exception, now: float) -> None:
        """Of a topic that is a caller's own: nobody else waits for it, and not for ever."""
        topic = lane.to.topic
        lasted_s = self._troubles.failed(topic, now, told=code_of(error) is not None)
        metrics.SEND_FAILURES.inc()
        if lasted_s >= GRACE_S or advice_for(error) not in (Advice.ELSEWHERE, Advice.LATER):
            self._say(lane, batch, error, "a caller's reply topic does not take answers")
        refused = advice_for(error) is Advice.RECORD
        if self._troubles.is_over(topic, now, refused=refused):
            batches, lane.waiting = [batch, *lane.waiting], deque()
            self._go_on(lane)
            self._troubles.gave_up(topic, now)
            self._give_up(batches, explain_error(error))
        elif refused:
            self._go_on(lane)
            self._give_up([batch], explain_error(error))
        else:
            self._send_again_later(lane, batch)

    def _give_up(self, batches: Sequence[Batch], reason: str) -> None:
        for batch in batches:
            if batch.live:
                batch.give_up(reason)

    def _say(self, lane: _Lane, batch: Batch, error: Exception, event: str) -> None:
        """At once, then once a minute for each topic."""
        if times := self._repeats.due(lane.to.topic, time.monotonic()):
            self._failing.setdefault(lane.to.topic, time.monotonic())
            log.error(
                event,
                topic=lane.to.topic,
                partition=lane.to.partition,
                records=len(batch),
                attempts=batch.attempts,
                error=explain_error(error),
                times=times,
            )

    def _send_again_later(self, lane: _Lane, batch: Batch) -> None:
        lane.undecided = batch
        self._jobs.start(self._send_again(lane, batch), partial(self._resume, [lane]))

    async def _send_again(self, lane: _Lane, batch: Batch) -> None:
        pause_s = exponential_s(batch.attempts, _FIRST_RETRY_S, _LAST_RETRY_S)
        if batch.of_a_caller:
            pause_s = min(pause_s, max(_FIRST_RETRY_S, self._troubles.left_s(lane.to.topic, time.monotonic())))
        await asyncio.sleep(equal_jitter_s(pause_s))
        if batch.live:
            lane.undecided = None
            lane.waiting.appendleft(batch)
            self._leave_soon([lane])
        else:
            lane.waiting = deque(waiting for waiting in lane.waiting if waiting.live)
            self._go_on(lane)

    def _mark(self, batch: Batch, *, stuck: bool) -> None:
        for receipt in batch.records.receipts():
            receipt.stuck(stuck)

    # ---- after a fault of our own

    def _resume_all(self, node_id: int, lanes: Sequence[_Lane]) -> None:
        """A request broke: also who was to leave with the next one goes on."""
        self._resume([*lanes, *self._following.pop(node_id, ())])

    def _resume(self, lanes: Sequence[_Lane]) -> None:
        """What was under way of these lanes is sent again: an answer that comes twice does no harm, a lost one does."""
        for lane in lanes:
            if (batch := lane.undecided) is not None:
                batch.attempts = max(1, batch.attempts)
                self._send_again_later(lane, batch)
            elif not lane.busy or not (lane in self._ready or any(lane in each for each in self._following.values())):
                self._go_on(lane)

    async def stop(self) -> None:
        """Give up what is not acked; its records stay unfinished."""
        if self._next_turn is not None:
            self._next_turn.cancel()
        await self._jobs.end()
