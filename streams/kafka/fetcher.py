"""What is fetched, and when: one loop for each broker, in place of aiokafka's own routine.

aiokafka looks at every partition before every fetch, with a task and a request of its own for each of them: a quarter of what a
round costs where records trickle in. And it holds back every fetch until all records are taken, or 0.1 s: a worker under full
load waited for the broker up to 15 % of its time. What it does besides is kept: offsets to begin with, moves of leaders, errors.

When a broker is asked again:

- Nothing of its partitions waits to be taken: at once, and the broker may hold the fetch until there is something (idle_hold.py).
  After a few records only when `pause_s` is over since the last fetch began: where records trickle in, a fetch comes
  back with each of them, and costs more than the record.
- Of a partition that has been taken there is more: at once, while the last records of others are still here; the broker answers
  at once, too.
- What waits is left on purpose, because its partition is over its quota: the others are asked for, but the broker may hold that
  fetch only for a moment. What was left may be taken soon, and then there is more to ask for.
- Else not yet: a fetch of the few that are taken would be held, and keep the others from being fetched when their turn comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import FetchResult, OffsetResetStrategy
from aiokafka.errors import KafkaError, RecordTooLargeError, for_code
from aiokafka.structs import TopicPartition

from streams.kafka.batch_reader import BatchReader, ReadRules
from streams.kafka.checked_logs import CheckedLogs
from streams.kafka.fetch_session import FetchLimits, SessionFetches
from streams.kafka.idle_hold import IdleHold
from streams.kafka.log_epochs import NO_EPOCH, extent
from streams.kafka.pacing import EMPTY_FETCH_FLOOR_S
from streams.kafka.repeats import Repeats
from streams.supervise import fault, keep
from topics.broker_errors import Advice, advice_for_code, explain_error, name_of

log = structlog.get_logger("headrace.transport")

_OUT_OF_RANGE: Final = 1
_TOPIC_AUTHORIZATION: Final = 29

_FEW_RECORDS: Final = 100
"""Where more wait there is no pause: a backlog of one partition comes in fetches that are done sooner than that."""

_AHEAD_AT: Final = 12
"""So few partitions with records left, and what comes after them is fetched: what waits here is bounded by them and one fetch."""

_HOLD_BRIEFLY_MS: Final = 10
"""How long a broker may hold a fetch while records are left here on purpose."""


@dataclass(slots=True)
class _Brought:
    """What a fetch brought."""

    some: bool = False
    waiting: int = 0
    """Records from where it began to the ends of those logs, as far as it brought any."""
    refused: bool = False
    """A partition of it was refused: not at once again."""


class RecordFetcher(CheckedLogs):
    """aiokafka's fetcher with our fetching. Takes the place of a started consumer's own, before anything is assigned.

    Who holds partitions back does not take them: `consumer.pause` is not looked at.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        pause_s: float,
        most_unpacked_bytes: int,
        on_cut: Callable[[TopicPartition, int | None], None] = lambda partition, end: None,
    ) -> None:
        consumer._fetcher._fetch_task.cancel()
        self._read_rules = ReadRules(
            most_unpacked_bytes, consumer._check_crcs, consumer._isolation_level == "read_committed"
        )
        self._distrusted: dict[TopicPartition, int] = {}
        """Where a batch was found to be corrupt, and is to be set aside if it is again."""
        self._pause_s = pause_s
        self._repeats = Repeats()
        self._begin_checks(on_cut)
        self.asked_in_vain_since: float | None = None
        """Since when no broker has answered a fetch though one was asked (monotonic); None: the last one was answered."""
        self._leaders: dict[TopicPartition, Any] = {}
        self._led: dict[int, list[tuple[TopicPartition, Any]]] = {}
        """By broker: the partitions that it leads, with their states."""
        self._leaders_may_have_moved = asyncio.Event()
        self._looks: dict[int, asyncio.Event] = {}
        self._left: set[TopicPartition] = set()
        super().__init__(
            consumer._client,
            consumer._subscription,
            fetch_min_bytes=consumer._fetch_min_bytes,
            fetch_max_bytes=consumer._fetch_max_bytes,
            fetch_max_wait_ms=consumer._fetch_max_wait_ms,
            max_partition_fetch_bytes=consumer._max_partition_fetch_bytes,
            check_crcs=consumer._check_crcs,
            retry_backoff_ms=consumer._retry_backoff_ms,
            auto_offset_reset=consumer._auto_offset_reset,
            isolation_level=consumer._isolation_level,
        )
        limits = FetchLimits(
            self._fetch_min_bytes, self._fetch_max_bytes, self._max_partition_fetch_bytes, self._isolation_level
        )
        self._fetches = SessionFetches(self._client, limits)
        self._client.cluster.add_listener(self._on_metadata)
        consumer._fetcher = self

    # ---- what the hand-out says

    def drop(self, partition: TopicPartition) -> None:
        """All was taken of it: it may be fetched again."""
        del self._records[partition]
        self._look()

    def distrust(self, partition: TopicPartition) -> None:
        """Fetch again what is corrupt at its position; if it still is, it is set aside."""
        found = self._records.get(partition)
        if type(found) is FetchResult:
            self._distrusted[partition] = found._partition_records.next_fetch_offset
            self.drop(partition)

    def leave(self) -> None:
        """What is here is left on purpose."""
        if self._records:
            self._left = set(self._records)
            self._look()

    def seek_to(self, tp: TopicPartition, offset: int) -> None:
        super().seek_to(tp, offset)
        self._look()

    def seek_to_start(self, partition: TopicPartition) -> None:
        """Fetch from where the log begins; without it aiokafka would ask the group once more."""
        self._subscriptions.subscription.assignment.state_value(partition).await_reset(OffsetResetStrategy.EARLIEST)
        self._records.pop(partition, None)
        self._look()

    def _asked(self, now: float) -> None:
        if self.asked_in_vain_since is None:
            self.asked_in_vain_since = now

    def _look(self) -> None:
        for look in self._looks.values():
            look.set()

    def _tell(self) -> None:
        """There is something to take."""
        for waiter in list(self._fetch_waiters):
            self._notify(waiter)

    # ---- who is asked

    def _on_metadata(self, _: Any) -> None:
        self._leaders_may_have_moved.set()
        known = getattr(self._client, "known", None)
        if known is not None and known.made_anew:
            self._begin_anew(known.made_anew)

    async def _fetch_requests_routine(self) -> None:
        """aiokafka starts it as a task, and cancels it in the end. Nobody looks at how that task ends: it may not."""
        await keep("fetch", self._fetch_for_good)

    async def _fetch_for_good(self) -> None:
        while True:
            assignment = await self._next_assignment()
            loops: dict[int, asyncio.Task[None]] = {}
            try:
                while assignment.active:
                    await self._keep_asking(assignment, loops)
            finally:
                self._led = {}
                for task in loops.values():
                    task.cancel()
                await asyncio.gather(*loops.values(), return_exceptions=True)

    async def _next_assignment(self) -> Any:
        self._records.clear()
        self._left.clear()
        while True:
            subscription = self._subscriptions.subscription
            if subscription is not None and subscription.assignment is not None and subscription.assignment.active:
                return subscription.assignment
            with contextlib.suppress(KafkaError):  # the group's error; whoever polls is told
                await self._subscriptions.wait_for_assignment()

    async def _keep_asking(self, assignment: Any, loops: dict[int, asyncio.Task[None]]) -> None:
        """One loop for each broker that leads a partition, until leaders may have moved."""
        self._leaders_may_have_moved.clear()
        led = defaultdict(list)
        for partition in assignment.tps:
            led[self._client.cluster.leader_for_partition(partition)].append(
                (partition, assignment.state_value(partition))
            )
        leaderless = [node for node in (None, -1) if led.pop(node, None)]
        self._led = dict(led)
        leaders = {partition: node for node, states in led.items() for partition, _ in states}
        self.epochs.doubt(
            partition for partition, node in leaders.items() if self._leaders.get(partition, node) != node
        )
        self._leaders |= leaders
        self._look()
        for node_id in led:
            if node_id not in loops:
                loops[node_id] = asyncio.create_task(self._ask(node_id, assignment))
        moved = asyncio.create_task(self._leaders_may_have_moved.wait())
        try:
            if leaderless and not led:
                self._asked(asyncio.get_running_loop().time())
            if leaderless:  # and again and again: an update that fails is told to nobody
                self._client.force_metadata_update()
            waits = [moved, assignment.unassign_future, *loops.values()]
            look_again_s = self._retry_backoff if leaderless else None
            await asyncio.wait(waits, timeout=look_again_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            moved.cancel()
        for node_id, task in list(loops.items()):
            if task.done():
                del loops[node_id]
                error = asyncio.CancelledError() if task.cancelled() else task.exception()
                if error is not None:  # of ours: it must not end the fetching
                    fault("fetch", error, "fetching failed, trying again", broker=node_id)
                    await asyncio.sleep(self._retry_backoff)

    async def _ask(self, node_id: int, assignment: Any) -> None:
        """Fetch from one broker, for as long as it leads something of this assignment."""
        clock, look, hold = asyncio.get_running_loop().time, asyncio.Event(), IdleHold(self._fetch_max_wait_ms)
        self._looks[node_id] = look
        while assignment.active and not self._closed and node_id in self._led:
            look.clear()
            states = self._led[node_id]
            unplaced = [
                partition
                for partition, state in states
                if not state.has_valid_position and partition not in self._records
            ]
            if unplaced:
                if await self._update_fetch_positions(assignment, node_id, unplaced):
                    self._tell()
                if not all(assignment.state_value(partition).has_valid_position for partition in unplaced):
                    self._client.force_metadata_update()  # it may lead them no more
                continue
            unsure = self.epochs.unsure(partition for partition, _ in states)
            if unsure:
                if not await self._check_logs(node_id, unsure, assignment):
                    await asyncio.sleep(self._retry_backoff)
                continue
            wanted, max_wait_ms = self._wanted(states, hold.ms())
            if not wanted:
                await look.wait()
                continue
            began = clock()
            self._asked(began)
            try:
                response = await self._fetches.fetch(node_id, wanted, max_wait_ms)
            except KafkaError as error:
                self.epochs.doubt(wanted)
                if times := self._repeats.due(node_id, time.monotonic()):
                    log.warning("a fetch failed, trying again", broker=node_id, error=explain_error(error), times=times)
                await asyncio.sleep(self._retry_backoff)
                continue
            self.asked_in_vain_since = None
            if self._repeats.over(node_id):
                log.info("fetches work again", broker=node_id)
            brought = self._take_in(response, wanted, assignment)
            hold.note(brought=brought.some or len(wanted) < len(states))
            if brought.some:
                self._tell()
            await asyncio.sleep(max(0.0, self._pause_after(brought, max_wait_ms) - (clock() - began)))

    def _wanted(
        self, states: Collection[tuple[TopicPartition, Any]], hold_ms: int
    ) -> tuple[dict[TopicPartition, int], int]:
        """What to ask for now, with the offsets, and how long the broker may hold it, at most `hold_ms`; nothing: not yet."""
        records, left = self._records, self._left
        wanted: dict[TopicPartition, int] = {}
        here = wait_for = 0
        more = False
        for partition, state in states:
            if partition in records:
                here += 1
                wait_for += partition not in left
            else:
                position = wanted[partition] = state.position
                more = more or (state.lso is not None and state.lso > position)
        if not here:
            return wanted, hold_ms
        if wait_for and not (more and here <= _AHEAD_AT):
            wanted = {}
        return wanted, min(_HOLD_BRIEFLY_MS, self._fetch_max_wait_ms)

    def _pause_after(self, brought: _Brought, max_wait_ms: int) -> float:
        """Seconds from one fetch to the next, as far as they are not over."""
        if brought.refused:
            return float(self._retry_backoff)
        if brought.some:
            return self._pause_s if brought.waiting < _FEW_RECORDS else 0.0
        return min(EMPTY_FETCH_FLOOR_S, max_wait_ms / 1000)  # some brokers do not hold a fetch

    # ---- what comes back

    def _take_in(self, response: Any, wanted: dict[TopicPartition, int], assignment: Any) -> _Brought:
        """Keep the records of a response, until they are taken."""
        brought = _Brought()
        if not assignment.active:
            return brought
        version = response.API_VERSION
        for topic, partitions in response.topics:
            for number, error_code, highwater, *rest in partitions:
                partition = TopicPartition(topic, number)
                state, offset = assignment.state_value(partition), wanted.get(partition)
                if offset is None or not state.has_valid_position or state.position != offset:
                    continue  # sought meanwhile
                if partition in self._records:
                    continue  # its new leader was faster
                if error_code:
                    self._take_error(partition, state, error_code, brought)
                    continue
                found = extent(rest[-1] or b"")
                if found is not None and not self.epochs.take(partition, found):
                    continue  # of a newer leader: first its log is checked
                state.highwater, state.lso = highwater, rest[0] if version >= 4 else None
                read = BatchReader(rest[-1], _aborted(version, rest), offset, highwater, self._read_rules)
                if read.has_next():
                    read.set_corrupt_aside = self._distrusted.pop(partition, None) == offset
                    self._records[partition] = FetchResult(
                        partition, assignment=assignment, partition_records=read, backoff=0
                    )
                    self._left.discard(partition)
                    brought.some = True
                    brought.waiting += highwater - offset
                elif rest[-1]:
                    self._take_too_large(partition, state, brought)
        return brought

    def _take_error(self, partition: TopicPartition, state: Any, code: int, brought: _Brought) -> None:
        if code == _OUT_OF_RANGE and self._default_reset_strategy != OffsetResetStrategy.NONE:
            if self.epochs.epoch(partition) == NO_EPOCH:
                self._reset(partition, state)
            else:  # before its start, or behind its end: the leader's epochs tell whether it was cut
                self._out_of_range.add(partition)
                self.epochs.doubt([partition])
            return
        brought.refused = True
        if advice_for_code(code) is Advice.ELSEWHERE:
            self.epochs.doubt([partition])
            self._client.force_metadata_update()
        elif code in (_OUT_OF_RANGE, _TOPIC_AUTHORIZATION):
            self._set_error(partition, for_code(code)(partition.topic))
            brought.some = True
        elif times := self._repeats.due((partition, code), time.monotonic()):
            name = "{}:{}".format(*partition)
            log.warning("a partition was not fetched", partition=name, error=name_of(code), times=times)

    def _take_too_large(self, partition: TopicPartition, state: Any, brought: _Brought) -> None:
        """A broker before KIP-74 holds a record back that is larger than a fetch: it is passed by, loudly."""
        self._set_error(partition, RecordTooLargeError(f"a record at {state.position} is larger than a fetch"))
        state.consumed_to(state.position + 1)
        brought.some = True


def _aborted(version: int, rest: list[Any]) -> Any:
    """Aborted transactions, of what follows the watermark: last stable offset, (v5) start of the log, aborted transactions, (v11)
    preferred replica, records. Before v4 only the records.
    """
    if version < 4:
        return None
    return rest[2] if version >= 11 else rest[-2]
