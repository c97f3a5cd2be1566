"""Offsets of one partition: which delivered records are finished, and how far a commit may go.

A commit may never pass a delivered record that is not finished. Kafka's offsets have gaps (transaction markers, aborted
records, compaction), so the prefix runs over the records that were delivered, and never counts. Committed offsets are
*next* offsets, as Kafka means them: committing 7 says that everything before 7 is finished.

Records come and go by the list (one fetch of one partition), so that the cost per record is one byte and no object.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, Protocol

from streams.kafka.records import Origin, Position, Record
from streams.metrics import definitions as metrics
from streams.transport import commit_metadata
from streams.transport.commit_metadata import Run

_MOST_ATTEMPTS = 100
"""Commits without an answer that are remembered: those of a broker that stands still for a minute or two."""

_FINISHED = re.compile(rb"\x01+")


class PartitionListener(Protocol):
    """Told what happens to a partition's records."""

    def on_finished(self, offsets: PartitionOffsets, count: int, size: float) -> None:
        """`count` records of about `size` bytes in all were finished."""

    def on_stuck(self, offsets: PartitionOffsets, stuck: bool) -> None:
        """Answers cannot be delivered, or can again."""


class RecordList:
    """Records of one fetch of one partition, in offset order; the value of one Faust event.

    Every record must be finished, by its index, in any order. It holds the records only until work on them starts: behind
    a slow head many finished lists wait for their commit, and they need to keep no more than offsets.
    """

    __slots__ = (
        "_finished",
        "_first_unfinished",
        "_offsets",
        "_owner",
        "_records",
        "mean_bytes",
        "next_offset",
        "origin",
        "unfinished",
    )

    def __init__(self, owner: PartitionOffsets, records: Sequence[Record], next_offset: int) -> None:
        self.origin = owner.origin
        self.next_offset = next_offset
        """Where the fetch ended: past the last record, and past any markers behind it."""
        self.unfinished = len(records)
        self.mean_bytes = sum(len(record.value or b"") for record in records) / len(records)
        self._owner = owner
        self._records: Sequence[Record] | None = records
        self._offsets = [record.offset for record in records]
        self._finished = bytearray(len(records))
        self._first_unfinished = 0

    @property
    def live(self) -> bool:
        """Whether this worker still owns the partition and these records, so that work on them is not in vain."""
        return self._owner.live

    @property
    def started(self) -> bool:
        """Whether work on the records has begun, or they were taken back."""
        return self._records is None

    def start(self) -> Sequence[Record]:
        """Hand over the records, once. None are left if they were taken back meanwhile: then they come again."""
        records, self._records = self._records, None
        return records if records is not None and self._owner.live else ()

    def finish(self, start: int, stop: int | None = None) -> None:
        """Mark the records with index `start` to `stop - 1` (default: the one at `start`) as answered. Twice is fine."""
        stop = min(start + 1 if stop is None else stop, len(self._finished))  # what was cut off counts no more
        if start >= stop:
            return
        newly = stop - start - self._finished.count(1, start, stop)
        if newly:
            self._finished[start:stop] = b"\x01" * (stop - start)
            self.unfinished -= newly
            self._owner.on_finished(self, newly)

    def stuck(self, is_stuck: bool) -> None:
        """Say that an answer to one of the records cannot be delivered now, or that it can again."""
        self._owner.on_stuck(is_stuck)

    def take_back(self) -> int:
        """Refuse to start: the first offset, from which the records are to be fetched again."""
        self._records = None
        return self._offsets[0]

    def cut(self, end: int) -> int:
        """Forget the records at `end` and above: the log has others there now. How many unfinished ones there were.

        Work on them goes on and its answers are written; that they are finished means nothing for the log any more.
        """
        kept = bisect_left(self._offsets, end)
        gone = len(self._offsets) - kept - self._finished.count(1, kept)
        if self._records is not None:
            self._records = self._records[:kept]
        del self._offsets[kept:], self._finished[kept:]
        self.next_offset = min(self.next_offset, end)
        self.unfinished -= gone
        return gone

    @property
    def empty(self) -> bool:
        """Whether nothing of it was kept."""
        return not self._offsets

    def state_of(self, offset: int) -> Literal["delivered", "started", "finished"] | None:
        """Whether the record is not begun, begun or finished; None where there is none of this offset."""
        index = bisect_left(self._offsets, offset)
        if index == len(self._offsets) or self._offsets[index] != offset:
            return None
        if self._finished[index]:
            return "finished"
        return "started" if self.started else "delivered"

    def first_unfinished_offset(self) -> int:
        """Offset of the first record that is not finished; `next_offset` if all are."""
        if not self.unfinished:
            return self.next_offset
        self._first_unfinished = self._finished.find(0, self._first_unfinished)
        return self._offsets[self._first_unfinished]

    def finished_runs(self) -> Iterator[Run]:
        """Offset ranges that are finished. Gaps between finished records count as finished: nothing was delivered there."""
        for match in _FINISHED.finditer(self._finished):
            start, stop = match.span()
            yield self._offsets[start], self._offsets[stop] if stop < len(self._offsets) else self.next_offset


class PartitionOffsets:
    """Delivered and finished offsets of one assigned partition.

    Starts from the committed position; records that its metadata calls finished are not delivered again.
    """

    def __init__(self, partition: tuple[str, int], committed: Position, listener: PartitionListener) -> None:
        self.partition = partition
        self.origin = Origin(*partition)
        self.committed = committed
        self._attempts: list[Position] = []
        self.position = committed.next_offset
        """Where the next fetch begins: behind everything delivered. None: where the broker's log begins."""
        self.leader_epoch = committed.leader_epoch
        """Of the last record that was delivered; -1: not known."""
        self.unfinished = 0
        self.unfinished_bytes = 0.0
        self.live = True
        self.metadata_full = False
        """The finished records ahead of the prefix no longer fit into a commit: deliver no more until the head moves."""
        self._listener = listener
        self._lists: deque[RecordList] = deque()
        self._known: list[Run] = []
        if committed.next_offset is not None:
            self._known = commit_metadata.decode(committed.next_offset, committed.metadata)
        self._known_starts = [start for start, _ in self._known]

    def deliver(self, records: Sequence[Record], next_offset: int) -> RecordList | None:
        """Make the list of the fetched records that still need work; None if none does.

        `next_offset` is where the fetch ended, past markers and aborted records at its end.
        """
        if records and self.position is not None and records[0].offset < self.position:
            self.cut(records[0].offset)  # another log than before, whoever should have said so
        if self._known and records and records[0].offset < self._known[-1][1]:
            wanted = [record for record in records if not self._finished_before(record.offset)]
            metrics.SKIPPED.inc(len(records) - len(wanted))
            records = wanted
        self.position = next_offset
        if not records:
            if self._lists:
                self._lists[-1].next_offset = next_offset
            return None
        made = RecordList(self, records, next_offset)
        self._lists.append(made)
        self.unfinished += made.unfinished
        self.unfinished_bytes += made.unfinished * made.mean_bytes
        return made

    def cut(self, end: int) -> None:
        """The log was cut at `end`, and may have other records there by now: what is known from `end` on is forgotten."""
        for delivered in self._lists:
            if gone := delivered.cut(end):
                self._count_finished(delivered, gone)
        self._lists = deque(delivered for delivered in self._lists if not delivered.empty)
        self._known = [(start, min(stop, end)) for start, stop in self._known if start < end]
        self._known_starts = [start for start, _ in self._known]
        if self.position is not None:
            self.position = min(self.position, end)

    def begin_anew(self) -> None:
        """The topic was deleted and made again: nothing that is known is of this log."""
        self.cut(0)
        self.position = None
        self.leader_epoch = -1

    def take_back(self) -> None:
        """Forget delivered lists on which no work has begun: they are fetched again from `position`."""
        while self._lists and not self._lists[-1].started:
            unstarted = self._lists.pop()
            self.position = unstarted.take_back()
            self._count_finished(unstarted, unstarted.unfinished)

    def on_finished(self, finished: RecordList, count: int) -> None:
        """Called by a list of ours."""
        if self.live:
            self._count_finished(finished, count)

    def on_stuck(self, is_stuck: bool) -> None:
        """Called by a list of ours."""
        if self.live:
            self._listener.on_stuck(self, is_stuck)

    def attempt(self, position: Position) -> None:
        """It is about to be sent to the broker, whose answer may be lost."""
        if position not in self._attempts:
            self._attempts = [*self._attempts[1 - _MOST_ATTEMPTS :], position]

    def commit(self, position: Position) -> None:
        """The broker has it."""
        self.committed = position
        self._attempts = []

    def wrote(self, position: Position) -> bool:
        """Whether a position that the broker has is one that this worker sent since the last answer, or that answer's."""
        return position == self.committed or position in self._attempts

    def snapshot(self, metadata_chars: int = commit_metadata.LIMIT_CHARS) -> Position:
        """What to commit now, with metadata of at most so many characters."""
        lists = self._lists
        while lists and not lists[0].unfinished:
            lists.popleft()
        next_offset = lists[0].first_unfinished_offset() if lists else self.position
        if next_offset is None:
            return self.committed
        self._drop_known(next_offset)
        ahead = [run for delivered in lists for run in delivered.finished_runs()]
        if self._known:
            ahead = sorted([*ahead, *((max(start, next_offset), stop) for start, stop in self._known)])
        metadata, whole = commit_metadata.encode(
            next_offset, _merged(run for run in ahead if run[1] > next_offset), metadata_chars
        )
        self.metadata_full = not whole
        return Position(next_offset, metadata, self.leader_epoch)

    def state_of(self, offset: int) -> Literal["delivered", "started", "finished"] | None:
        """What is known of a record before `position`; None where none of this offset was delivered: it has been finished, or
        is none. Takes time in proportion to the lists that are not committed.
        """
        return next((state for each in self._lists if (state := each.state_of(offset)) is not None), None)

    @property
    def taken(self) -> int:
        """Offsets between its commit and its position: what Kafka counts as lag, and this worker has in hand."""
        if self.position is None or self.committed.next_offset is None:
            return self.unfinished
        return max(0, self.position - self.committed.next_offset)

    def _count_finished(self, finished: RecordList, count: int) -> None:
        size = count * finished.mean_bytes
        self.unfinished -= count
        self.unfinished_bytes = self.unfinished_bytes - size if self.unfinished else 0.0
        self._listener.on_finished(self, count, size)

    def _finished_before(self, offset: int) -> bool:
        index = bisect_right(self._known_starts, offset) - 1
        return index >= 0 and offset < self._known[index][1]

    def _drop_known(self, next_offset: int) -> None:
        if self._known and self._known[0][1] <= next_offset:
            self._known = [run for run in self._known if run[1] > next_offset]
            self._known_starts = [start for start, _ in self._known]


def _merged(runs: Iterable[Run]) -> list[Run]:
    merged: list[Run] = []
    for start, stop in runs:
        if merged and merged[-1][1] >= start:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged
