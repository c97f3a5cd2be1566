"""The index on disk: batches of events in, and what is too much dropped again. Synchronous: called in threads.

One thread writes at a time, others read. Each batch is written in one go with the positions behind what it was read
from, so that after a crash the topics are read on from there, and no request is counted twice.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any, Final

import structlog
from rocksdict import Rdict, WriteBatch

from ops.ui.index import keys, meta
from ops.ui.index.change import Change, change_of, without
from ops.ui.index.events import Event
from ops.ui.index.places import Places
from ops.ui.index.rocks import open_index
from ops.ui.index.row import PARTITION_BITS, Row, decode_row, encode_row
from ops.ui.index.tallies import Tallies
from streams.cache.lock import FolderLock
from streams.errors import HeadraceError
from topics.names import TopicNames

log = structlog.get_logger("headrace.ui")

_GENERATIONS: Final = 16
_LOOK_AT_DISK_EVERY: Final = 64
"""Batches."""
_OVERHEAD_BYTES: Final = 64 * 2**20
"""Room under the cap for the write-ahead log and a compaction under way."""


class IndexOpenError(HeadraceError):
    """Why the index cannot be opened: one line that says what to do."""


class IndexStore:
    """The index in the folder `path`. `keep`: requests; `disk_bytes`: of files. What is beyond is dropped, the oldest first."""

    def __init__(self, path: Path, *, keep: int, disk_bytes: int) -> None:
        """Open it, or make it. Raises IndexOpenError."""
        self.path = path
        self._keep = keep
        self._disk_bytes = disk_bytes
        self._lock = _locked(path)
        try:
            self.db = _opened(path)
        except IndexOpenError:
            self._lock.release()
            raise
        self._generations = meta.Generations.decode(max(1000, keep // _GENERATIONS), self.db.get(meta.GENERATIONS_KEY))
        self.waiting_db = self.db.get_column_family(keys.WAITING_FAMILY)
        self.tallies = Tallies()
        for key, value in self._items(keys.COUNT):
            self.tallies.read_minute(int.from_bytes(key[1:], "big"), meta.decode_counts(value))
        for key, value in self._items(keys.DEAD):
            self.tallies.read_letters(key, value)
        self.tallies.waiting.update(dict(meta.read_waiting(*each) for each in self._items(meta.WAITING_PREFIX)))
        self.total = sum(map(sum, self.tallies.by_status.values()))
        """Requests that are kept."""
        self.buckets: Sequence[int] = sorted(self.tallies.by_status, reverse=True)
        """Those that have requests, the newest first."""
        self._batches = 0
        self._writing = Lock()

    def close(self) -> None:
        """Write what is in memory and let go of the folder. Twice is fine."""
        self.waiting_db.close()
        self.db.close()
        self._lock.release()

    # ---- what is written

    def positions(self) -> dict[meta.Partition, int]:
        """Next offsets to read, by partition."""
        return dict(meta.read_position(key, value) for key, value in self._items(meta.POSITIONS_PREFIX))

    def places(self, names: TopicNames) -> Places:
        """Whose the places are; tenants that are new are numbered, for good."""
        found = self.db.get(meta.TENANTS_KEY)
        places = Places(names, [] if found is None else found.decode().split(","))
        if places.tenants:
            self.db[meta.TENANTS_KEY] = ",".join(places.tenants).encode()
        return places

    def apply(self, events: Sequence[Event], positions: Mapping[meta.Partition, int]) -> None:
        """Write what the events say, and that the topics were read so far. Raises Exception with RocksDB's words."""
        with self._writing:
            self._apply(events, positions)

    def _apply(self, events: Sequence[Event], positions: Mapping[meta.Partition, int]) -> None:
        places = list({event.place: None for event in events})
        found: Any = self.db.get([keys.row_key(place) for place in places]) if places else []
        before: dict[int, Row | None] = {
            place: None if value is None else decode_row(place, value)
            for place, value in zip(places, found, strict=True)
        }
        self._write(change_of(events, before), positions)
        self._batches += 1
        self._drop_what_is_too_much()

    def _write(self, change: Change, positions: Mapping[meta.Partition, int]) -> None:
        batch = WriteBatch(raw_mode=True)
        put = batch.put
        for row in change.rows:
            put(keys.row_key(row.place), encode_row(row))
        self._add_to(batch, change)
        for key, value in change.put:
            put(key, value)
        waiting = self._waiting()
        for key in change.wait:
            put(key, b"", waiting)
        for row in change.named:
            put(keys.id_key(self._generations.note(row.time_ms), row.request_id, row.place), b"")
        if change.named:
            put(meta.GENERATIONS_KEY, self._generations.encode())
        for minute, more in change.counts.items():
            key = keys.count_key(minute)
            put(key, meta.encode_counts(meta.added(self.db.get(key), more)))
        for partition, next_offset in positions.items():
            put(*meta.position_item(partition, next_offset))
        self.db.write(batch)
        self.tallies.note(change)
        self.total += change.added
        if len(self.tallies.by_status) != len(self.buckets):
            self.buckets = sorted(self.tallies.by_status, reverse=True)

    def _waiting(self) -> Any:
        """The column family of what waits, for a batch. Not kept: whoever holds it holds the files open."""
        return self.db.get_column_family_handle(keys.WAITING_FAMILY)

    def _add_to(self, batch: WriteBatch, change: Change) -> None:
        """What a change takes away, and its counts of letters and of what waits."""
        for key in change.deleted:
            batch.delete(key)
        waiting = self._waiting()
        for key in change.wait_no_more:
            batch.delete(key, waiting)
        for key, value in self.tallies.letters_of(change):
            batch.put(key, value)
        for prefix, more in change.waiting.items():
            batch.put(*meta.waiting_item(prefix, self.tallies.waiting[prefix] + more))

    # ---- what is dropped

    def forget(self, of_agent: Callable[[str, str], bool], before_ms: int) -> int:
        """Delete the rows of agents that this is true of, by agent and tenant, of requests that came before; how many. Takes time
        in proportion to what is kept."""
        of_agent = lru_cache(maxsize=65_536)(of_agent)
        rows = (decode_row(keys.place_of_key(key), value) for key, value in self._items(keys.ROW))
        gone = self.delete(
            row for row in rows if row.agent_id and row.time_ms < before_ms and of_agent(row.agent_id, row.tenant)
        )
        if gone:
            self.db.compact_range(None, None)  # only then are the bytes gone
        return gone

    def delete(self, rows: Iterable[Row], most: int | None = None) -> int:
        """Delete these rows, at most so many; how many there were. Counts by minute stay: they name nobody."""
        gone = 0
        for row in islice(rows, most):
            with self._writing:
                batch = WriteBatch(raw_mode=True)
                batch.delete(keys.row_key(row.place))
                self._add_to(batch, change := without([row]))
                for generation in self.generations():
                    batch.delete(keys.id_key(generation, row.request_id, row.place))
                self.db.write(batch)
                self.tallies.note(change)
            gone += 1
        return gone

    def _drop_what_is_too_much(self) -> None:
        while self.total > self._keep and len(self.buckets) > 1:
            self._drop_oldest()
        if self._batches % _LOOK_AT_DISK_EVERY == 0 and len(self.buckets) > 1:
            files = self.db.property_int_value("rocksdb.live-sst-files-size") or 0
            if files > self._disk_bytes - _OVERHEAD_BYTES:
                self._drop_oldest()

    def _drop_oldest(self) -> None:
        """Drop the requests of the oldest bucket: their keys by one range, their rows by a range a partition."""
        bucket = min(self.tallies.by_status)
        minutes = keys.BUCKET_BITS - keys.MINUTE_BITS
        until_ms = bucket + 1 << keys.BUCKET_BITS
        ranges = [
            (keys.bucket_key(0), keys.bucket_key(bucket + 1)),
            (keys.count_key(0), keys.count_key(bucket + 1 << minutes)),
            (keys.dead_key(0), keys.dead_key(bucket + 1)),
            *self._rows_before(until_ms),
            *((keys.ID + number.to_bytes(4, "big"), keys.ID + (number + 1).to_bytes(4, "big"))
              for number in self._generations.drop_before(until_ms)),
        ]  # fmt: skip
        batch = WriteBatch(raw_mode=True)
        for begin, end in ranges:
            batch.delete_range(begin, end)
        waited = Counter(
            keys.place_of_key(key) >> PARTITION_BITS
            for key in _keys_below(self.waiting_db, keys.bucket_key(bucket + 1))
        )
        for prefix, number in waited.items():
            batch.put(*meta.waiting_item(prefix, self.tallies.waiting[prefix] - number))
        batch.delete_range(keys.bucket_key(0), keys.bucket_key(bucket + 1), self._waiting())
        batch.put(meta.GENERATIONS_KEY, self._generations.encode())
        self.db.write(batch)
        self.tallies.waiting.subtract(waited)
        gone = self.tallies.drop(bucket)
        self.total -= gone
        self.buckets = sorted(self.tallies.by_status, reverse=True)
        for begin, end in ranges:
            self.db.compact_range(begin, end)
        log.info("old requests were dropped from the index", requests=gone, kept=self.total)

    def _rows_before(self, until_ms: int) -> Iterator[tuple[bytes, bytes]]:
        """A range for each partition: its rows up to the first that came at `until_ms` or later. Times rise along a log."""
        walker = self.db.iter()
        walker.seek(keys.ROW)
        while walker.valid() and walker.key().startswith(keys.ROW):
            first = keys.place_of_key(walker.key())
            begin, behind = first, (first >> PARTITION_BITS) + 1 << PARTITION_BITS
            end = behind
            while begin < end:  # the first place whose row, or the next one, is of a later time
                middle = (begin + end) // 2
                walker.seek(keys.row_key(middle))
                at = keys.place_of_key(walker.key()) if walker.valid() and walker.key().startswith(keys.ROW) else behind
                if at >= end:
                    end = middle
                elif decode_row(at, walker.value()).time_ms < until_ms:
                    begin = at + 1
                else:
                    end = middle
            if begin > first:
                yield keys.row_key(first), keys.row_key(begin) if begin < 1 << 64 else keys.after(keys.ROW)
            if behind >= 1 << 64:
                return
            walker.seek(keys.row_key(behind))

    # ---- what else reads it

    def _items(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        walker: Any = self.db.iter()
        walker.seek(prefix)
        while walker.valid() and (key := walker.key()).startswith(prefix):
            yield key, walker.value()
            walker.next()

    def generations(self) -> Iterable[int]:
        """Numbers of the ids' generations, the newest first."""
        return [each.number for each in reversed(self._generations.all)]


def _keys_below(db: Rdict, end: bytes) -> Iterator[bytes]:
    walker: Any = db.iter()
    walker.seek_to_first()
    while walker.valid() and (key := walker.key()) < end:
        yield key
        walker.next()


def _locked(path: Path) -> FolderLock:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return FolderLock(path)
    except BlockingIOError as error:
        raise IndexOpenError(
            f"the index {path} is open in {error}: stop that one, or give this one a folder of its own (ui.path)"
        ) from error
    except OSError as error:
        raise IndexOpenError(f"the index {path} cannot be made: {error.strerror}; see ui.path") from error


def _opened(path: Path) -> Rdict:
    """The database; one that is damaged or of another version is made anew, because the topics have it all."""
    try:
        db = open_index(path)
        if (found := db.get(meta.VERSION_KEY)) in (None, meta.VERSION_VALUE):
            db[meta.VERSION_KEY] = meta.VERSION_VALUE
            return db
        db.close()
        log.warning("the index is of another version, it is made anew", found=found.decode("ascii", "replace"))
    except Exception as error:
        if not any(
            word in str(error) for word in ("Corruption", "not exist", "No such file", "does not match", "olumn famil")
        ):
            raise IndexOpenError(f"the index {path} does not open ({' '.join(str(error).split())})") from error
        log.warning("the index is damaged, it is made anew", path=str(path), error=str(error))
    with suppress(FileNotFoundError):
        shutil.rmtree(path)
    path.mkdir(mode=0o700)
    db = open_index(path)
    db[meta.VERSION_KEY] = meta.VERSION_VALUE
    return db
