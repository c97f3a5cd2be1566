"""The cache from the settings: both tiers, what fills them, and the stage in front."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

import structlog

from schemas.limits import MIB
from streams.cache.answers import Answer
from streams.cache.disk import DiskTable
from streams.cache.entries import SharedEntryStore
from streams.cache.errors import StoreError
from streams.cache.memory import MemoryTier
from streams.cache.publisher import EntryPublisher
from streams.cache.reader import EntryReader
from streams.cache.rocks import TableOptions
from streams.cache.rules import CacheRules
from streams.cache.stage import CacheStage
from streams.cache.store_dirs import open_store
from streams.cache.vault import Vault, VaultKey
from streams.kafka.cluster import Cluster
from streams.metrics import definitions as metrics
from streams.pipeline import HitResponder
from streams.route_shares import RouteShares
from streams.settings import Settings
from streams.supervise import supervised

log = structlog.get_logger("headrace.cache")

_MEASURE_EVERY_S = 30.0  # a look at every file of the store


@dataclass(frozen=True, slots=True)
class WorkerCache:
    """A worker's cache, running."""

    stage: CacheStage
    memory: MemoryTier[Answer]
    _table: DiskTable
    _publisher: EntryPublisher
    _reader: EntryReader
    vault: Vault

    def forget(self, owner: str, until: Mapping[int, int], tell: Callable[[int], None]) -> None:
        """Drop what an owner's requests brought: from the store once the deletions before these offsets are read, from memory
        then, too. `tell(entries)`: how many of them were in memory still. Raises ValueError where too many are asked for.
        """
        self._reader.when_read(until, lambda: tell(self.stage.forget_owner(owner)))

    async def wait_warm(self) -> None:
        """Returns when the worker has what the others cached, or has waited for it long enough."""
        await self._reader.caught_up.wait()

    def report(self) -> None:
        """Set the gauges."""
        for segment, stats in self.memory.stats().items():
            metrics.CACHE_BYTES.labels(segment).set(stats.bytes)
            metrics.CACHE_ENTRIES_HELD.labels(segment).set(stats.entries)
            metrics.CACHE_EVICTED.labels(segment).set(stats.evicted)
        metrics.CACHE_STORE_OPEN.set(self._table.is_open and not self._reader.store_failed)
        metrics.CACHE_TORN.set(self._table.counts.torn)
        metrics.CACHE_LAG.set(self._reader.lag)
        metrics.CACHE_UNSHARED.set(self._publisher.counts.dropped + self._publisher.counts.failed)


async def open_cache(
    settings: Settings,
    cluster: Cluster,
    responder: HitResponder,
    mapping: Callable[[str], bytes],
    stack: AsyncExitStack,
    budget_bytes: int,
    shares: RouteShares,
    now: Callable[[], float],
) -> WorkerCache:
    """Open the store and begin to read what the others cached; all of it closes with `stack`.

    `mapping`: what a model's name stands for at the providers. `shares`: what waits for each.
    `now` is the time by which entries expire, for all workers the broker's (Unix seconds).
    `budget_bytes` is the worker's memory budget: blocks and both write buffers of the store take an eighth of it at most.
    Raises StoreError, one line, where the store cannot be opened.
    """
    cache, vault = settings.cache, vault_of(settings)
    table = await open_store(
        cache.disk.path,
        TableOptions(
            cap_bytes=cache.disk.size,
            ttl_s=cache.disk.ttl,
            compressed=cache.disk.compression,
            block_cache_bytes=min(64 * MIB, budget_bytes // 16),
            largest_buffer_bytes=min(32 * MIB, budget_bytes // 32),
        ),
    )
    stack.push_async_callback(table.close)
    topic = settings.topics.names.cache_entries
    await cluster.find(topic)  # known before the first entry
    source = f"/headrace/worker/{uuid.uuid4()}".encode()
    publisher = EntryPublisher(cluster, source, topic)
    stack.push_async_callback(publisher.stop)
    segments = cache.memory.segments
    memory: MemoryTier[Answer] = MemoryTier(
        cache.memory.size,
        # Routes are computed and conversations hashed to their endpoints: the share for them is lent to the answers.
        {"responses": segments.responses + segments.routing, "metadata": segments.metadata},
    )
    rules = CacheRules(
        namespace=cache.namespace,
        max_temperature=cache.max_temperature,
        memory_ttl_s=cache.memory.ttl,
        ttl_s=cache.disk.ttl,
        finished_window_s=cache.finished_window,
        shared_by=frozenset(name for name, tenant in settings.tenants.items() if tenant.cache.shared),
        most_s={
            name: tenant.retention.cached
            for name, tenant in settings.tenants.items()
            if tenant.retention.cached is not None
        },
    )
    stage = CacheStage(rules, memory, SharedEntryStore(table, publisher, now, vault), responder, now, mapping, shares)
    stack.push_async_callback(stage.stop)
    reader = EntryReader(
        settings.kafka.client_options(),
        table,
        source=source,
        on_entries=stage.forget,
        now=now,
        ready_within_s=cache.ready_within,
        topic=topic,
    )
    reader.start()
    stack.push_async_callback(reader.stop)
    upkeep = supervised("cache_upkeep", partial(_keep_up, table, cache.disk.cleanup_interval))
    stack.callback(upkeep.cancel)
    return WorkerCache(stage, memory, table, publisher, reader, vault)


def vault_of(settings: Settings) -> Vault:
    """The keys of all tenants, as they are now. Raises SettingsError where one is missing or bad, or the library for it is not
    installed.
    """
    keys = {}
    for name, tenant in settings.tenants.items():
        text = tenant.cache.keys(f"tenants.{name}.cache")
        if text is not None:
            pairs = (word.partition(":") for word in text.split())
            keys[name] = [VaultKey(key_name, bytes.fromhex(key)) for key_name, _, key in pairs]
    return Vault(keys, _warn_of_missing)


def prepare_keys(vault: Vault, settings: Settings) -> Callable[[], None]:
    """Reads the keys again from where these settings say, for the vault to take. Raises SettingsError: those before stay."""
    new = vault_of(settings)
    return lambda: vault.take(new)


def _warn_of_missing(name: str) -> None:
    log.warning(
        "cached answers and finished requests are encrypted by a key that is not here: they are paid for again; put the key back "
        "into the tenant's cache.key_file, behind the one in use, and send SIGHUP; nothing is deleted before it expires",
        key=name,
    )


async def _keep_up(table: DiskTable, cleanup_interval_s: float) -> None:
    """Drop what is too old even where nothing new pushes it out, and measure what is left. Look-ups go on meanwhile."""
    clean_at = time.monotonic() + cleanup_interval_s
    while True:
        try:
            if time.monotonic() >= clean_at:
                clean_at = time.monotonic() + cleanup_interval_s
                await table.compact()
            stats = await table.stats()
        except StoreError as error:
            log.warning("the cache store cannot be cleaned up now, trying again", error=str(error))
        else:
            metrics.CACHE_DISK_BYTES.set(stats.disk_bytes)
            metrics.CACHE_DISK_ENTRIES.set(stats.entries)
            metrics.CACHE_DISK_FILES.set(stats.files)
            metrics.CACHE_DISK_EXPIRED.set(stats.expired)
        await asyncio.sleep(min(_MEASURE_EVERY_S, cleanup_interval_s))
