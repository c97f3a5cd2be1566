"""The tier on disk: one RocksDB table of cache entries, and how far the topic they come from has been read.

Everything but compaction runs on one thread of the table's own. A look-up is one multi-get. A write is batches of at most
256 KB: rocksdict holds the interpreter lock over a write, and a batch takes 0.8 ms (p99 1.3 ms). The positions are in the last
batch: whatever kills the process, every entry before a position is there. There is no fsync, so a power cut may cost the last
seconds; it never costs the order.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import structlog
from rocksdict import DbClosedError, Rdict, WriteBatch

from schemas.limits import KIB
from streams.cache.errors import StoreClosedError, StoreCorruptError, StoreError, StoreLockedError, opening_error
from streams.cache.layout import MAX_KEY_BYTES, Positions, Stored, pack, pack_position, unpack, unpack_position
from streams.cache.lock import FolderLock, lock_owner
from streams.cache.rocks import NO_STALL, POSITIONS, TableOptions, disk_bytes, fifo, open_rocks

log = structlog.get_logger("headrace.cache")

_BATCH_BYTES: Final = 256 * KIB
_STALL_S: Final = 0.005
"""Buffers are written out at 50 to 200 MB/s: the next one is free after some of these."""
_LONGEST_STALL_S: Final = 60.0
"""Buffers or files that are as full after that have another cause, such as a disk without room: whoever writes is told."""
_WAITING_READS: Final = 16
"""Look-ups that may wait for the thread; more wait in their own tasks."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry to write. Without a value the key is deleted. `expires_at` is Unix time in seconds."""

    key: bytes
    value: bytes | None
    expires_at: float = 0.0


@dataclass(slots=True)
class TableCounts:
    """What look-ups found since the table was opened, by key."""

    hits: int = 0
    misses: int = 0
    expired: int = 0
    """Found, but not good any more; misses too."""
    torn: int = 0
    """Found, but not what was written, or not readable; misses too."""


@dataclass(frozen=True, slots=True)
class TableStats:
    """A table as it is now. `entries` is RocksDB's estimate: replaced and expired ones count until their file goes.
    `files_bytes` are the compressed entries alone, `disk_bytes` all that the folder takes, the log included."""

    entries: int
    files_bytes: int
    disk_bytes: int
    files: int
    hits: int
    misses: int
    expired: int
    torn: int


class DiskTable:
    """Entries by key, with an expiry each; the oldest go when the cap is reached. Open it with `DiskTable.open`."""

    def __init__(self, path: Path, options: TableOptions) -> None:
        self.path = path
        self.counts = TableCounts()
        self._options = options
        self._db: Rdict | None = None
        """None before it is open, when it is closed, and while it cannot be opened again."""
        self._lock: FolderLock | None = None
        self._closed = False
        self._thread = ThreadPoolExecutor(1, "cache-disk")
        self._reads = asyncio.Semaphore(_WAITING_READS)
        self._writes = asyncio.Lock()

    @classmethod
    async def open(cls, path: Path, options: TableOptions) -> Self:
        """Open the store in a folder, or make it. Raises StoreLockedError, StoreCorruptError, StoreError."""
        table = cls(path, options)
        try:
            await table._run(table._open)
        except BaseException:
            if table._lock is not None:
                table._lock.release()
            table._thread.shutdown(wait=False)
            raise
        return table

    @property
    def is_open(self) -> bool:
        """False from a failed `reopen` until one that did not fail, and after `close`."""
        return self._db is not None

    async def get_many(self, keys: Sequence[bytes], now: float) -> dict[bytes, Stored]:
        """What is there of the keys and not expired at `now`. Raises StoreClosedError."""
        async with self._reads:
            return await self._run(self._get_many, list(dict.fromkeys(keys)), now)

    async def put_many(self, entries: Sequence[Entry], positions: Mapping[tuple[str, int], int] | None = None) -> None:
        """Write entries, in their order, and with the last of them the positions behind them. Raises StoreError."""
        async with self._writes:
            batches = list(_batches(entries))
            for number, batch in enumerate(batches, 1):
                with_positions = positions or {} if number == len(batches) else {}
                await self._write_when_there_is_room(batch, with_positions)

    async def positions(self) -> Positions:
        """How far each partition has been read into the table: next offsets by topic and partition. Raises StoreError."""
        return await self._run(self._positions)

    async def stats(self) -> TableStats:
        """Raises StoreClosedError."""
        return await self._run(self._stats)

    async def purge(self) -> None:
        """Delete every entry and give the room back. Positions stay: what was purged is not read again. Raises StoreError."""
        async with self._writes:
            await self._run(self._purge)

    async def compact(self) -> None:
        """Write out what is in memory, drop the files that are over the cap or too old, merge small ones. Raises StoreError.

        Call it now and then: where nothing is written, nothing else makes RocksDB drop what is too old. Writes wait for it,
        look-ups do not.
        """
        async with self._writes:
            await asyncio.to_thread(self._compact)  # takes seconds, and the table's own thread has look-ups to answer

    async def reopen(self) -> None:
        """Close and open again: after a full disk RocksDB writes nothing until then. Raises as `open`; then nothing is read
        or written (StoreError) until a later call of this succeeds.
        """
        async with self._writes:
            await self._run(self._reopen)

    async def close(self) -> None:
        """Let go of the folder. Closing twice is fine."""
        async with self._writes:
            try:
                await self._run(self._shut)
            except StoreClosedError:
                return
            self._thread.shutdown(wait=False)

    async def _write_when_there_is_room(self, batch: Sequence[Entry], positions: Mapping[tuple[str, int], int]) -> None:
        ends = time.monotonic() + _LONGEST_STALL_S
        while not await self._run(self._write, batch, positions):
            if time.monotonic() > ends:  # between two tries: none is given up half-way
                raise StoreError(
                    f"the cache store {self.path} made no room in {_LONGEST_STALL_S:.0f} s: is the disk full?"
                )
            await asyncio.sleep(_STALL_S)

    async def _run(self, work: Callable[..., Result], *arguments: object) -> Result:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
        except DbClosedError:
            raise StoreClosedError(self.path) from None
        except RuntimeError as error:
            if self._closed:  # the executor takes nothing after its end
                raise StoreClosedError(self.path) from error
            raise

    # ---- on the table's thread

    @property
    def _open_db(self) -> Rdict:
        if self._db is None:
            if self._closed:
                raise StoreClosedError(self.path)
            raise StoreError(f"the cache store {self.path} could not be opened again yet")
        return self._db

    def _open(self) -> None:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._lock is None:
                self._lock = FolderLock(self.path)
        except BlockingIOError as error:
            owner = "this process" if str(error) == f"process {os.getpid()}" else str(error)
            raise StoreLockedError(self.path, owner) from error
        except OSError as error:
            raise opening_error(self.path, error, lock_owner) from error
        try:
            self._db = open_rocks(self.path, self._options)
        except Exception as error:  # rocksdict has no other kind
            raise opening_error(self.path, error, lock_owner) from error
        self._position_rows = self._db.get_column_family(POSITIONS)
        self._position_family = self._db.get_column_family_handle(POSITIONS)

    def _shut(self) -> None:
        """For good."""
        if self._closed:
            raise StoreClosedError(self.path)
        try:
            if self._db is not None:
                self._close()
        finally:
            self._closed = True
            if self._lock is not None:
                self._lock.release()

    def _close(self) -> None:
        db = self._open_db
        self._db = None
        for handle in (self._position_rows, db):
            try:
                handle.close()
            except Exception as error:  # what a damaged file made impossible meanwhile; it is closed all the same
                log.warning("the cache store was closed with an error", path=str(self.path), error=str(error))
        del self._position_rows, self._position_family  # each holds the lock of the folder

    def _reopen(self) -> None:
        if self._closed:
            raise StoreClosedError(self.path)
        if self._db is not None:
            self._close()
        self._open()

    def _get_many(self, keys: list[bytes], now: float) -> dict[bytes, Stored]:
        db, counts, live = self._open_db, self.counts, dict[bytes, Stored]()
        for key, raw in zip(keys, self._raw(db, keys), strict=True):
            stored = None if raw is None else unpack(key, raw)
            if stored is not None and stored.expires_at > now:
                live[key] = stored
            elif stored is not None:
                counts.expired += 1
            elif raw is not None:
                counts.torn += 1
        counts.hits += len(live)
        counts.misses += len(keys) - len(live)
        return live

    def _raw(self, db: Rdict, keys: list[bytes]) -> list[bytes | None]:
        try:
            return list(db.get(keys)) if keys else []  # type: ignore[arg-type] # lists are invariant, and typed so
        except DbClosedError:
            raise
        except Exception:  # one damaged block fails them all: ask for each
            return [self._one_raw(db, key) for key in keys]

    def _one_raw(self, db: Rdict, key: bytes) -> bytes | None:
        try:
            raw: bytes | None = db.get(key)
        except DbClosedError:
            raise
        except Exception:
            return b""  # counts as torn
        return raw

    def _write(self, entries: Sequence[Entry], positions: Mapping[tuple[str, int], int]) -> bool:
        """Write one batch; False if the buffers are full now, or the files that are too many not gone yet."""
        db = self._open_db
        if self._is_full(db):
            return False
        batch = WriteBatch(raw_mode=True)  # a batch that was refused cannot be used again
        for entry in entries:
            if entry.value is None:
                batch.delete(entry.key)
            else:
                batch.put(entry.key, pack(entry.key, entry.value, entry.expires_at))
        for (topic, partition), next_offset in positions.items():
            batch.put(*pack_position(topic, partition, next_offset), self._position_family)
        try:
            db.write(batch, NO_STALL)
        except DbClosedError:
            raise
        except Exception as error:
            if "Write stall" in str(error):
                return False
            raise self._failed(error) from error
        return True

    def _is_full(self, db: Rdict) -> bool:
        """Whether RocksDB is behind with dropping the oldest files. It always catches up: it needs no write for that."""
        files_bytes = db.property_int_value("rocksdb.total-sst-files-size") or 0
        return files_bytes > self._options.files_bytes and disk_bytes(self.path) > self._options.full_at_bytes

    def _positions(self) -> Positions:
        self._open_db  # noqa: B018 - the rows alone do not know that they are closed
        try:
            rows: Iterator[tuple[Any, Any]] = self._position_rows.items()
            return dict(unpack_position(key, value) for key, value in rows)
        except Exception as error:
            raise self._failed(error) from error

    def _stats(self) -> TableStats:
        db, counts = self._open_db, self.counts
        return TableStats(
            entries=db.property_int_value("rocksdb.estimate-num-keys") or 0,
            files_bytes=db.property_int_value("rocksdb.live-sst-files-size") or 0,
            disk_bytes=disk_bytes(self.path),
            files=int(db.property_value("rocksdb.num-files-at-level0") or 0),
            hits=counts.hits,
            misses=counts.misses,
            expired=counts.expired,
            torn=counts.torn,
        )

    def _purge(self) -> None:
        db = self._open_db
        try:
            db.delete_range(b"", b"\xff" * (MAX_KEY_BYTES + 1))
            db.flush()
            db.set_options({"compaction_options_fifo": fifo(1)})
            db.compact_range(None, None)
        except Exception as error:
            raise self._failed(error) from error
        finally:
            db.set_options({"compaction_options_fifo": fifo(self._options.files_bytes)})

    def _compact(self) -> None:
        db = self._open_db
        try:
            db.flush()
            db.compact_range(None, None)
        except Exception as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> StoreError:
        cause = " ".join(str(error).split())
        if "Corruption" in cause:
            return StoreCorruptError(self.path, cause)
        return StoreError(f"the cache store {self.path} failed ({cause})")


def _batches(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """Runs of at most `_BATCH_BYTES`, or of one entry; at least one run, perhaps empty."""
    start, size = 0, 0
    for at, entry in enumerate(entries):
        entry_bytes = len(entry.key) + len(entry.value or b"")
        if at > start and size + entry_bytes > _BATCH_BYTES:
            yield entries[start:at]
            start, size = at, 0
        size += entry_bytes
    yield entries[start:]
