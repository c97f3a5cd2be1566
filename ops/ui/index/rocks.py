"""RocksDB as the index needs it. Read beside ops/ui/index/keys.py: keys are told apart by their first byte, but those of what
waits, which have a column family: a key of it lives as long as its request waits, and its files stay so small that deleted ones
are soon packed away, however many there were.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from rocksdict import BlockBasedOptions, Cache, DBCompressionType, Env, Options, Rdict

from ops.ui.index.keys import WAITING_FAMILY
from schemas.limits import KIB, MIB

_WRITE_BUFFER: Final = 16 * MIB
_WAITING_BUFFER: Final = MIB // 2
"""At most so much is gone over that was deleted: 4,000 requests. Backwards each costs a microsecond."""
_BLOCK_CACHE: Final = 48 * MIB
"""Of uncompressed blocks, indexes and filters: what a page needs is near what the last one needed."""
_DICTIONARY, _TRAINED_ON = 16 * KIB, MIB
"""What rows of one file have in common is written once, not in each block."""


def open_index(path: Path) -> Rdict:
    """Open or make it. Raises what rocksdict raises: Exception with RocksDB's words."""
    cache = Cache(_BLOCK_CACHE)
    return Rdict(str(path), _options(cache), column_families={WAITING_FAMILY: _of_waiting(cache)})


def _of_waiting(cache: Cache) -> Options:
    rocks = _options(cache)
    rocks.set_write_buffer_size(_WAITING_BUFFER)
    rocks.set_level_zero_file_num_compaction_trigger(2)
    rocks.set_bottommost_compression_type(DBCompressionType.lz4())
    return rocks


def _options(cache: Cache) -> Options:
    rocks = Options(raw_mode=True)
    rocks.create_if_missing(True)
    rocks.create_missing_column_families(True)
    background = Env()
    background.lower_thread_pool_cpu_priority()  # pages come first
    rocks.set_env(background)
    rocks.set_write_buffer_size(_WRITE_BUFFER)
    rocks.set_max_write_buffer_number(2)
    rocks.set_max_total_wal_size(2 * _WRITE_BUFFER)
    # New files are read and rewritten soon, so they are packed fast; what has come to rest is packed well.
    rocks.set_compression_type(DBCompressionType.lz4())
    rocks.set_bottommost_compression_type(DBCompressionType.zstd())
    rocks.set_bottommost_compression_options(-14, 32_767, 0, _DICTIONARY, True)
    rocks.set_bottommost_zstd_max_train_bytes(_TRAINED_ON, True)
    rocks.set_optimize_filters_for_hits(True)  # filters of what has come to rest would not fit into memory
    rocks.set_level_compaction_dynamic_level_bytes(True)
    rocks.set_max_background_jobs(2)
    rocks.set_max_open_files(256)
    blocks = BlockBasedOptions()
    blocks.set_block_cache(cache)
    blocks.set_block_size(16 * KIB)
    blocks.set_bloom_filter(10, False)
    blocks.set_cache_index_and_filter_blocks(True)
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(True)
    blocks.set_format_version(5)
    rocks.set_block_based_table_factory(blocks)
    rocks.set_max_log_file_size(MIB)
    rocks.set_keep_log_file_num(2)
    rocks.set_max_manifest_file_size(4 * MIB)
    rocks.set_stats_dump_period_sec(0)
    rocks.set_stats_persist_period_sec(0)
    return rocks
