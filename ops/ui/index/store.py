"""The index on disk: batches of events in, and what is too much dropped again. Synchronous: called in threads.

One thread writes, others read: RocksDB lets them. Each batch is written in one go with the positions behind what it was read
from, so that after a crash the topics are read on from there, and no request is counted twice.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import structlog
from rocksdict import Rdict, WriteBatch

from ops.ui.index import keys, meta
from ops.ui.index.change import Change, change_of
from ops.ui.index.events import Event
from ops.ui.index.rocks import open_index
from ops.ui.index.row import Row, decode_row, encode_row
from streams.cache.lock import FolderLock
from streams.errors import HeadraceError

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
        self._of_bucket: dict[int, int] = {}
        for key, value in self._items(keys.COUNT):
            bucket = int.from_bytes(key[1:], "big") >> keys.BUCKET_BITS - keys.MINUTE_BITS
            self._of_bucket[bucket] = self._of_bucket.get(bucket, 0) + sum(meta.decode_counts(value))
        self.total = sum(self._of_bucket.values())
        """Requests that are kept."""
        self.buckets: Sequence[int] = sorted(self._of_bucket, reverse=True)
        """Those that have requests, the newest first."""
        self._batches = 0

    def close(self) -> None:
        """Write what is in memory and let go of the folder. Twice is fine."""
        self.db.close()
        self._lock.release()

    # ---- what is written

    def positions(self) -> dict[meta.Partition, int]:
        """Next offsets to read, by partition."""
        return dict(meta.read_position(key, value) for key, value in self._items(meta.POSITIONS_PREFIX))

    def apply(self, events: Sequence[Event], positions: Mapping[meta.Partition, int]) -> None:
        """Write what the events say, and that the topics were read so far. Raises Exception with RocksDB's words."""
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
        put, delete = batch.put, batch.delete
        for row in change.rows:
            put(keys.row_key(row.place), encode_row(row))
        for key in change.deleted:
            delete(key)
        for key, value in change.put:
            put(key, value)
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
        for minute, more in change.counts.items():
            bucket = minute >> keys.BUCKET_BITS - keys.MINUTE_BITS
            self._of_bucket[bucket] = self._of_bucket.get(bucket, 0) + sum(more)
        self.total += change.added
        if len(self._of_bucket) != len(self.buckets):
            self.buckets = sorted(self._of_bucket, reverse=True)

    # ---- what is dropped

    def _drop_what_is_too_much(self) -> None:
        while self.total > self._keep and len(self._of_bucket) > 1:
            self._drop_oldest()
        if self._batches % _LOOK_AT_DISK_EVERY == 0 and len(self._of_bucket) > 1:
            files = self.db.property_int_value("rocksdb.live-sst-files-size") or 0
            if files > self._disk_bytes - _OVERHEAD_BYTES:
                self._drop_oldest()

    def _drop_oldest(self) -> None:
        """Drop the requests of the oldest bucket: their keys by one range, their rows by a range a partition."""
        bucket = min(self._of_bucket)
        minutes = keys.BUCKET_BITS - keys.MINUTE_BITS
        until_ms = bucket + 1 << keys.BUCKET_BITS
        ranges = [
            (keys.bucket_key(0), keys.bucket_key(bucket + 1)),
            (keys.count_key(0), keys.count_key(bucket + 1 << minutes)),
            *self._rows_before(until_ms),
            *((keys.ID + number.to_bytes(4, "big"), keys.ID + (number + 1).to_bytes(4, "big"))
              for number in self._generations.drop_before(until_ms)),
        ]  # fmt: skip
        batch = WriteBatch(raw_mode=True)
        for begin, end in ranges:
            batch.delete_range(begin, end)
        batch.put(meta.GENERATIONS_KEY, self._generations.encode())
        self.db.write(batch)
        gone = self._of_bucket.pop(bucket)
        self.total -= gone
        self.buckets = sorted(self._of_bucket, reverse=True)
        for begin, end in ranges:
            self.db.compact_range(begin, end)
        log.info("old requests were dropped from the index", requests=gone, kept=self.total)

    def _rows_before(self, until_ms: int) -> Iterator[tuple[bytes, bytes]]:
        """A range for each partition: its rows up to the first that came at `until_ms` or later. Times rise along a log."""
        walker = self.db.iter()
        walker.seek(keys.ROW)
        while walker.valid() and walker.key().startswith(keys.ROW):
            first = keys.place_of_key(walker.key())
            begin, behind = first, (first >> 48) + 1 << 48
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
        if not any(word in str(error) for word in ("Corruption", "not exist", "No such file", "does not match")):
            raise IndexOpenError(f"the index {path} does not open ({' '.join(str(error).split())})") from error
        log.warning("the index is damaged, it is made anew", path=str(path), error=str(error))
    with suppress(FileNotFoundError):
        shutil.rmtree(path)
    path.mkdir(mode=0o700)
    db = open_index(path)
    db[meta.VERSION_KEY] = meta.VERSION_VALUE
    return db
