"""RocksDB as the index needs it. Read beside ops/ui/index/keys.py: one column family, told apart by the first byte of keys."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from rocksdict import BlockBasedOptions, Cache, DBCompressionType, Env, Options, Rdict

from schemas.limits import KIB, MIB

_WRITE_BUFFER: Final = 24 * MIB
_BLOCK_CACHE: Final = 48 * MIB
"""Of uncompressed blocks, indexes and filters: what a page needs is near what the last one needed."""


def open_index(path: Path) -> Rdict:
    """Open or make it. Raises what rocksdict raises: Exception with RocksDB's words."""
    return Rdict(str(path), _options())


def _options() -> Options:
    rocks = Options(raw_mode=True)
    rocks.create_if_missing(True)
    background = Env()
    background.lower_thread_pool_cpu_priority()  # pages come first
    rocks.set_env(background)
    rocks.set_write_buffer_size(_WRITE_BUFFER)
    rocks.set_max_write_buffer_number(2)
    rocks.set_max_total_wal_size(2 * _WRITE_BUFFER)
    # New files are read and rewritten soon, so they are packed fast; what has come to rest is packed well.
    rocks.set_compression_type(DBCompressionType.lz4())
    rocks.set_bottommost_compression_type(DBCompressionType.zstd())
    rocks.set_level_compaction_dynamic_level_bytes(True)
    rocks.set_max_background_jobs(2)
    rocks.set_max_open_files(256)
    blocks = BlockBasedOptions()
    blocks.set_block_cache(Cache(_BLOCK_CACHE))
    blocks.set_block_size(8 * KIB)
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
