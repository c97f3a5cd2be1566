"""RocksDB as the cache needs it: options, and what a shape of these options promises.

FIFO compaction: RocksDB drops whole files, the oldest first, once all files together exceed the cap or a file's newest entry
is older than the TTL. That needs no index by time, rewrites nothing to make room, and what goes is exactly what was written
first. docs/decisions/0009-own-rocksdb-table.md has the alternatives and the numbers.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rocksdict import (
    AccessType,
    BlockBasedOptions,
    Cache,
    DBCompactionStyle,
    DBCompressionType,
    Env,
    FifoCompactOptions,
    Options,
    Rdict,
    WriteOptions,
)

from schemas.limits import ANSWER_RECORD_BYTES, KIB, MIB

POSITIONS: Final = "positions"
"""The column family of topic positions. The default one holds the entries."""

# Without it a write that finds the buffers full waits inside RocksDB, and rocksdict holds the interpreter lock over a write:
# the event loop stood still for up to 95 ms. With it the write is refused and tried again later.
NO_STALL: Final = WriteOptions()
NO_STALL.no_slowdown = True

_NEVER: Final = 1 << 30  # all files are on level 0: their number says nothing about being behind
_OVERHEAD_BUFFERS: Final = 8
"""Room under the cap, in write buffers: the log (3), a file just written (1), a merge beside what it merges (4)."""


@dataclass(frozen=True, slots=True)
class TableOptions:
    """How large a table may be, in memory and on disk."""

    cap_bytes: int
    """On disk, with the log and all else in the folder."""
    ttl_s: float
    """Files whose newest entry is older are dropped whole; entries have their own expiry besides."""
    block_cache_bytes: int = 64 * MIB
    """Uncompressed blocks, indexes and filters, in memory."""
    compressed: bool = True
    largest_buffer_bytes: int = 32 * MIB
    """Most bytes of one write buffer."""

    @property
    def write_buffer_bytes(self) -> int:
        """At most two are in memory. Small, because the cap is held to a few of them; not too small, because each becomes a
        file, and a look-up asks every file's filter."""
        return min(self.largest_buffer_bytes, max(256 * KIB, self.cap_bytes // 128))

    @property
    def files_bytes(self) -> int:
        """The part of the cap that table files may take."""
        # A small buffer overshoots by an entry, and an entry may be as large as a record.
        overhead = max(_OVERHEAD_BUFFERS * self.write_buffer_bytes, 4 * ANSWER_RECORD_BYTES)
        return max(self.cap_bytes // 2, self.cap_bytes - overhead)

    @property
    def full_at_bytes(self) -> int:
        """What the folder may take before writes wait for files that are to go: half of the room beside `files_bytes`.

        RocksDB drops files on a thread that gives way to all else, and nothing of it slows down the writer: beside eight busy
        processes the folder grew to twice its cap.
        """
        return (self.files_bytes + self.cap_bytes) // 2


def open_rocks(path: Path, options: TableOptions) -> Rdict:
    """Open or make the database. Raises what rocksdict raises: Exception with RocksDB's words."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    db = Rdict(str(path), _entries(options), column_families={POSITIONS: _positions()})
    # Only at run time: rocksdict has no setter for either.
    db.set_options({"compaction_options_fifo": fifo(options.files_bytes), "ttl": str(max(1, round(options.ttl_s)))})
    return db


def open_beside(path: Path, scratch: Path) -> Rdict:
    """Open for reading a database that another process may have open; it is seen as it is now. `scratch` is an empty folder
    for RocksDB's own notes. Raises as `open_rocks`."""
    return Rdict(
        str(path),
        Options(raw_mode=True),
        column_families={POSITIONS: Options(raw_mode=True)},
        access_type=AccessType.secondary(str(scratch)),
    )


def fifo(files_bytes: int) -> str:
    """The option string of FIFO compaction. Files may be merged: fewer files, fewer filters to ask."""
    return f"{{max_table_files_size={files_bytes};allow_compaction=true;}}"


def disk_bytes(path: Path) -> int:
    """What a folder takes on disk, by allocated blocks. Files that go meanwhile count as gone."""
    total = 0
    with os.scandir(path) as files:
        for each in files:
            try:
                total += each.stat().st_blocks * 512
            except FileNotFoundError:
                continue
    return total


def _entries(options: TableOptions) -> Options:
    buffer_bytes = options.write_buffer_bytes
    rocks = Options(raw_mode=True)
    rocks.create_if_missing(True)
    rocks.create_missing_column_families(True)
    # Positions are written with every batch but hardly fill a buffer: flushed alone, the entries would leave the log to
    # grow for the positions' sake. Flushed together, both are of one moment in the files too.
    rocks.set_atomic_flush(True)
    background = Env()
    background.lower_thread_pool_cpu_priority()  # compressing may wait, requests may not
    rocks.set_env(background)
    rocks.set_write_buffer_size(buffer_bytes)
    rocks.set_max_write_buffer_number(2)
    rocks.set_max_total_wal_size(3 * buffer_bytes)
    rocks.set_compression_type(DBCompressionType.zstd() if options.compressed else DBCompressionType.none())
    rocks.set_compaction_style(DBCompactionStyle.fifo())
    limit = FifoCompactOptions()
    limit.max_table_files_size = options.files_bytes
    rocks.set_fifo_compaction_options(limit)
    rocks.set_max_compaction_bytes(4 * buffer_bytes)
    rocks.set_level_zero_slowdown_writes_trigger(_NEVER)
    rocks.set_level_zero_stop_writes_trigger(_NEVER)
    blocks = BlockBasedOptions()
    blocks.set_block_cache(Cache(options.block_cache_bytes))
    # What is compressed together. Answers of 2 KB compress 2.2x, 2.6x and 2.8x in blocks of 4, 16 and 64 KiB.
    blocks.set_block_size(16 * KIB)
    blocks.set_bloom_filter(10, False)  # 1 % of the files that lack a key are read in vain
    blocks.set_cache_index_and_filter_blocks(True)  # so that the block cache bounds them too
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(True)
    blocks.set_format_version(5)
    rocks.set_block_based_table_factory(blocks)
    _keep_notes_small(rocks)
    return rocks


def _positions() -> Options:
    rocks = Options(raw_mode=True)
    rocks.set_write_buffer_size(64 * KIB)
    rocks.set_level_zero_slowdown_writes_trigger(_NEVER)
    rocks.set_level_zero_stop_writes_trigger(_NEVER)
    blocks = BlockBasedOptions()
    blocks.set_block_cache(Cache(256 * KIB))
    rocks.set_block_based_table_factory(blocks)
    return rocks


def _keep_notes_small(rocks: Options) -> None:
    """What else RocksDB writes into the folder counts for the cap too."""
    rocks.set_max_log_file_size(MIB)
    rocks.set_keep_log_file_num(2)
    rocks.set_max_manifest_file_size(MIB)
    rocks.set_manifest_preallocation_size(64 * KIB)
    rocks.set_stats_dump_period_sec(0)
    rocks.set_stats_persist_period_sec(0)
