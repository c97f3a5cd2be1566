"""A Faust consumer that hands out whole record lists and keeps its own offsets.

Faust's part: the app's life cycle, agents, streams, the callbacks of a rebalance; what only it sees of a consumer stands in
faust_shape.py. Ours: taking fetched records by class, quotas, which records are finished, commits with metadata, and a rebalance
that drains nothing.

aiokafka runs in the worker's own event loop, not in Faust's second thread: no hop per fetch, and a worker whose loop hangs
stops its heartbeats, so that its partitions go to one that lives (docs/decisions/0005-one-event-loop.md).

How a rebalance goes: the flow stops; lists on which no work has begun are taken back; what is finished is committed, within
a second; calls under way go on, and what they finish is committed until the last member has joined. After the assignment,
rebalance.py says what was kept, lost and gained.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import ConsumerStoppedError, KafkaError
from aiokafka.structs import TopicPartition
from mode import Service

from streams.kafka import closing
from streams.kafka.assignor import Owned, StickyAssignor
from streams.kafka.batch_reader import CorruptBatchError, HeavyBatchError
from streams.kafka.fetch import Fetch
from streams.kafka.fetched import Fetched
from streams.kafka.membership import GroupRefusedError, Membership
from streams.kafka.plain_fetch import PlainFetch
from streams.kafka.reconnect import make_consumer
from streams.kafka.records import Record
from streams.kafka.returning import OwnersReturn, wait_s
from streams.metrics import definitions as metrics
from streams.supervise import is_told_to_stop
from streams.transport.committer import Committer
from streams.transport.corrupt import CorruptBatches
from streams.transport.faust_shape import FaustShape
from streams.transport.flow import Flow
from streams.transport.offsets import PartitionOffsets, RecordList
from streams.transport.options import TransportOptions
from streams.transport.rebalance import reassign

log = structlog.get_logger("headrace.transport")

_POLL_S = 1.0  # longest wait for records before the loop looks whether it should stop
_REVOKE_COMMIT_S = 1.0  # a revoke returns within this time, whatever the coordinator does
_LAST_COMMIT_S = 1.0  # after a drain
_STALLED_S = 10.0  # a leader or coordinator that moves takes less
_POSITIONS_WITHIN_S = 5.0  # no heartbeats are sent meanwhile
_EARLY_COMMIT_S = 0.1  # first commit after an assignment: a worker that dies young has committed something

_LONG = 100
"""So many records keep the loop for a while: the fetch of what follows them is to be sent before."""

_UNDELIVERABLE = "its answers cannot be delivered"


class RecordListConsumer(FaustShape):
    """One worker's consumer of the request topics. Every event's value is a few `RecordList`s."""

    logger = logging.getLogger(__name__)  # for Faust and mode; our own lines go to `log`
    consumer_stopped_errors = (ConsumerStoppedError,)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.options: TransportOptions = self.transport.options
        self.flow = Flow(
            self.options.topics, self.options.partition_quota, self.options.class_quota, self.options.class_of
        )
        self.partitions: dict[TopicPartition, PartitionOffsets] = {}
        self.draining = False
        self._drained = asyncio.Event()
        self.assigned = asyncio.Event()
        """Set while partitions are assigned and positioned; a worker is ready then."""
        self._refusal: GroupRefusedError | None = None
        self._refused = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self.assignments = 0
        """How often partitions were assigned: after a change some waiting records may be another worker's."""
        self._consumer: AIOKafkaConsumer | None = None
        self._fetch: Fetched | None = None
        self._membership: Membership | None = None
        self._committer: Committer | None = None
        self._owned_generation = -1
        self._commit_due = self.options.commit_due
        self._corrupt: CorruptBatches | None = None
        self._commits_in_vain = False
        self._positioned_at = 0.0
        self.gained_at: dict[TopicPartition, float] = {}
        """When each partition became this worker's, by the monotonic clock."""
        self._returning = OwnersReturn(self.hold, self.release)

    # ---- life

    async def on_start(self) -> None:
        self._consumer = make_consumer(
            **self.options.consumer, partition_assignment_strategy=[StickyAssignor(self._owned)]
        )
        await self._consumer.start()
        if self.options.fetches_plainly:
            self._fetch = PlainFetch(self._consumer)
        else:
            self._fetch = Fetch(
                self._consumer, most_unpacked_bytes=self.options.most_unpacked_bytes, on_cut=self._on_cut
            )
        self._corrupt = CorruptBatches(self._fetch, self.hold, self.release, aside=self.options.corrupt_batches_aside)
        self._membership = Membership(self._consumer, self.options.heartbeat)
        self._watching = asyncio.create_task(self._watch_group())
        self._committer = Committer(self._membership.offsets, self.hold, self.release)

    async def on_stop(self) -> None:
        await self.give_up_partitions()
        if self._watching is not None:
            self._watching.cancel()
        if self._consumer is not None:
            await closing.stop(self._consumer)

    @property
    def membership(self) -> Membership:
        assert self._membership is not None, "the consumer has not started"
        return self._membership

    @property
    def committer(self) -> Committer:
        assert self._committer is not None, "the consumer has not started"
        return self._committer

    @property
    def _running(self) -> AIOKafkaConsumer:
        assert self._consumer is not None, "the consumer has not started"
        return self._consumer

    @property
    def _fetched(self) -> Fetched:
        assert self._fetch is not None, "the consumer has not started"
        return self._fetch

    # ---- hand out

    async def _drain_messages(self, fetcher: Service) -> None:
        """Faust's fetcher runs this until it stops."""
        while not (self._stopped.is_set() or fetcher._stopped.is_set()):
            if not self.flow_active or self.draining:
                await self.wait(self.can_resume_flow if not self.draining else self._stopped)
                continue
            try:
                if not await self._hand_out() or not self._fetched.ready():
                    await self._fetched.wait(_POLL_S)
            except ConsumerStoppedError:
                if self.app.should_stop:
                    return
                raise
            await asyncio.sleep(0)  # the agent's turn

    async def _hand_out(self) -> bool:
        """Give the pipeline a list of each partition that has records and may be given some, high first.

        Short lists share an event: where records trickle in, most of the cost is Faust's, 60 us an event.
        """
        if not self.assigned.is_set():  # nothing of what was assigned has a position
            return False
        some = False
        left = self.options.records_a_poll
        events: list[list[RecordList]] = []
        room = 0
        for partition in self.flow.choose(self._fetched.ready()):
            offsets = self.partitions.get(partition)
            if offsets is None:
                continue
            some = True
            most = min(left, self.options.records_a_list, self.flow.room(partition))
            records, position = await self._take(partition, most)
            made = None if position is None or not offsets.live else offsets.deliver(records, position)
            if position is not None:
                offsets.leader_epoch = self._fetched.epoch(partition)
            if made is None:
                continue
            self.flow.add(partition, made.unfinished, made.unfinished * made.mean_bytes)
            left -= made.unfinished
            if room <= 0:
                events.append([])
                room = self.options.records_a_list
            events[-1].append(made)
            room -= made.unfinished
            if left <= 0 or not self.flow_active:
                break
        if left <= self.options.records_a_poll - _LONG:
            await asyncio.sleep(0)
        for lists in events:
            await self.callback(self._message(lists))
        return some

    async def _take(self, partition: TopicPartition, most: int) -> tuple[Sequence[Record], int | None]:
        """The next records of a partition. What cannot be read stops that partition alone, loudly, and is fetched again."""
        assert self._corrupt is not None, "the consumer has not started"
        corrupt = self._corrupt
        try:
            while True:
                try:
                    taken = self._fetched.take(partition, most)
                    corrupt.read(partition)
                    return taken
                except HeavyBatchError:
                    if not await self._fetched.unpack(partition):
                        return (), None
        except CorruptBatchError as error:
            corrupt.found(partition, error)
        except KafkaError as error:
            log.error(
                "a partition cannot be read, trying again", partition="{}:{}".format(*partition), error=repr(error)
            )
        return (), None

    def _on_cut(self, partition: TopicPartition, end: int | None) -> None:
        offsets = self.partitions.get(partition)
        if offsets is not None:
            offsets.begin_anew() if end is None else offsets.cut(end)

    def hold(self, partition: tuple[str, int], reason: str) -> None:
        """Give the pipeline nothing more of this partition until the reason is released."""
        self.flow.hold(partition, reason)

    def release(self, partition: tuple[str, int], reason: str) -> None:
        if self.flow.release(partition, reason):
            self._fetched.wake()

    # ---- finish and commit

    def on_finished(self, offsets: PartitionOffsets, count: int, size: float) -> None:
        """Called by a partition of ours."""
        if self.flow.remove(offsets.partition, count, size):
            self._fetched.wake()
        if self.draining and not self.unfinished:
            self._drained.set()

    def on_stuck(self, offsets: PartitionOffsets, stuck: bool) -> None:
        """Called by a partition of ours: what cannot be answered must not pile up."""
        (self.hold if stuck else self.release)(offsets.partition, _UNDELIVERABLE)

    @Service.task  # type: ignore[untyped-decorator]
    async def _commit_handler(self) -> None:
        while not self.should_stop:
            delay_s = (
                _EARLY_COMMIT_S if time.monotonic() < self._positioned_at + 2.0 else self.options.commit_interval_s
            )
            try:
                await asyncio.wait_for(self._commit_due.wait(), delay_s)
                await asyncio.sleep(self.options.commit_delay_after_call_s)
            except TimeoutError:
                pass
            self._commit_due.clear()
            if self.flow_active or self.draining:
                await self.commit()
            elif (
                self._owned_generation >= 0
            ):  # what is answered while the group waits for a member is not to be paid again
                await self.committer.commit(self.partitions, joining_since=self._owned_generation)

    async def _watch_group(self) -> None:
        try:
            await self.membership.watch()
        except GroupRefusedError as error:
            self._refusal = error
            self._refused.set()
        except (Exception, asyncio.CancelledError) as error:  # the client's coordination has ended: nothing goes on
            if is_told_to_stop(error):
                raise
            await self.crash(error)

    async def wait_refused(self) -> GroupRefusedError:
        """Until it is known that the group takes this worker not at all; why. Never, where it does."""
        await self._refused.wait()
        assert self._refusal is not None
        return self._refusal

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit every partition whose position has moved. Refused and failed ones are tried again with the next."""
        if not self.partitions or self.membership.generation < 0:
            # Outside the group Kafka takes a commit without a generation as long as nobody is in it.
            return False
        return await self.committer.commit(self.partitions)

    # ---- rebalance

    def _owned(self) -> Owned:
        """What the assignor says of this worker when it joins."""
        held = self.partitions.keys() - self._returning.partitions
        return Owned(frozenset(number for _, number in held), self._owned_generation)

    async def give_up_partitions(self) -> None:
        """On revoke and on stop. Nothing is waited for: calls under way go on."""
        self.assigned.clear()
        for offsets in self.partitions.values():
            offsets.take_back()
        if self._commits_in_vain:
            return
        try:
            await asyncio.wait_for(self.commit(), _REVOKE_COMMIT_S)
        except TimeoutError:
            log.warning("no commit before the partitions are revoked", waited_s=_REVOKE_COMMIT_S)

    async def take_partitions(self) -> None:
        """When partitions are assigned: keep, drop and gain."""
        assignment = self.membership.assignment
        try:
            committed = await asyncio.wait_for(self.membership.offsets.committed(assignment.tps), _POSITIONS_WITHIN_S)
        except (KafkaError, TimeoutError) as error:  # no answer is no position
            self.membership.join_again(error)
            return
        if not assignment.active:
            return  # the group rebalances again
        after = reassign(self.partitions, committed, self)
        self.partitions = after.partitions
        for partition, offsets in after.partitions.items():
            if offsets.position is None:
                self._fetched.seek_to_start(partition)
            else:
                self._fetched.seek(partition, offsets.position, offsets.leader_epoch)
        self.gained_at |= dict.fromkeys(after.gained, time.monotonic())
        for partition in after.lost:
            # Nobody else will: its answers find no owner any more, and the partition may be ours anew.
            self.flow.release(partition, _UNDELIVERABLE)
        self.flow.assign(
            {
                partition: (offsets.unfinished, offsets.unfinished_bytes)
                for partition, offsets in self.partitions.items()
            }
        )
        self._returning.keep(self.partitions)
        if self.membership.expelled:
            self._returning.begin(after.gained, wait_s(self.options.consumer["heartbeat_interval_ms"] / 1000))
        self.membership.joined()
        self._owned_generation = self.membership.generation
        self._positioned_at = time.monotonic()
        self.options.heartbeat.beat()  # who may join is a member
        self.assignments += 1
        self.assigned.set()
        metrics.PARTITIONS.set(len(self.partitions))
        metrics.REBALANCES.inc()
        log.info(
            "partitions assigned",
            partitions=len(self.partitions), kept=len(self.partitions) - len(after.gained), lost=len(after.lost),
            generation=self._owned_generation,
        )  # fmt: skip

    # ---- drain

    async def drain(self, deadline_s: float) -> int:
        """Hand out nothing more and wait until everything handed out is finished; how many records are not, at the end."""
        self.draining = True
        for offsets in self.partitions.values():
            offsets.take_back()
        if self.unfinished:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._drained.wait(), deadline_s)
        try:
            await asyncio.wait_for(self.commit(), _LAST_COMMIT_S)
        except TimeoutError:
            self._commits_in_vain = True  # the broker is gone: it is not asked again on the way out
        return self.unfinished

    @property
    def moving(self) -> bool:
        """Whether work moves: partitions are assigned and placed, the group hears of us, fetches are answered, commits taken."""
        if not self.assigned.is_set():
            return False
        now, failing_since = time.monotonic(), self.committer.failing_since
        heard_at = self.options.heartbeat.last_at
        silent_s = max(_STALLED_S, 3 * self.options.consumer["heartbeat_interval_ms"] / 1000)
        return (
            (heard_at is None or now - heard_at < silent_s)
            and self._fetched.stalled_s(now) < _STALLED_S
            and (failing_since is None or now - failing_since < _STALLED_S)
        )

    @property
    def unfinished(self) -> int:
        """Records handed to the pipeline and not finished."""
        return sum(offsets.unfinished for offsets in self.partitions.values())
