"""Looking into the cache and clearing it, from outside the workers.

Stores are read beside the worker that has them open (RocksDB's secondary instances need no lock). What changes a store needs it
to itself; what clears the cache of a running fleet goes through the topic, where every worker reads it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
from rocksdict import Rdict

from ops.admin.records import open_reader, open_writer, partitions_of, read_until
from schemas.request import Request
from streams.cache.disk import DiskTable
from streams.cache.errors import StoreError, opening_error
from streams.cache.key import Namespace, cache_key, payload_digest
from streams.cache.layout import Stored, unpack, unpack_position
from streams.cache.lock import lock_owner
from streams.cache.rocks import POSITIONS, TableOptions, disk_bytes, open_beside
from streams.cache.store_dirs import store_dirs
from streams.kafka.list_offsets import begin_offsets, end_offsets
from streams.settings import Settings

_SENT_AT_ONCE: Final = 1_000
_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class StoreView:
    """One worker's store as it is now. `entries` is RocksDB's estimate."""

    path: str
    open_in: str | None
    """The process that has it open, if one has."""
    entries: int
    files: int
    files_bytes: int
    disk_bytes: int
    positions: Mapping[str, int]
    """Next offset to read from `cache.entries`, by partition."""
    error: str | None = None
    """Why it cannot be read."""


def table_options(settings: Settings) -> TableOptions:
    """A table's options as a worker opens it."""
    disk = settings.cache.disk
    return TableOptions(cap_bytes=disk.size, ttl_s=disk.ttl, compressed=disk.compression)


def views(root: Path) -> list[StoreView]:
    """Every store below `cache.disk.path`."""
    return [_view(path) for path in store_dirs(root)]


def _view(path: Path) -> StoreView:
    owner = lock_owner(path)
    try:
        with _beside(path) as db:
            rows: Any = db.get_column_family(POSITIONS).items()
            positions = dict(unpack_position(key, value) for key, value in rows)
            return StoreView(
                path=str(path),
                open_in=owner,
                entries=db.property_int_value("rocksdb.estimate-num-keys") or 0,
                files=len(db.live_files()),
                files_bytes=db.property_int_value("rocksdb.live-sst-files-size") or 0,
                disk_bytes=disk_bytes(path),
                positions={str(partition): offset for (_, partition), offset in sorted(positions.items())},
            )
    except (StoreError, ValueError) as error:
        return StoreView(str(path), owner, 0, 0, 0, disk_bytes(path), {}, str(error))


@contextmanager
def _beside(path: Path) -> Iterator[Rdict]:
    with tempfile.TemporaryDirectory(prefix="headrace-cache-") as scratch:
        for attempt in range(_ATTEMPTS):
            try:
                db = open_beside(path, Path(scratch) / str(attempt))
                break
            except Exception as error:  # rocksdict has no other kind
                # A worker that has the store open may have dropped a file between our look at the list and at the file.
                if attempt == _ATTEMPTS - 1:
                    raise opening_error(path, error, lock_owner) from error
        try:
            yield db
        finally:
            db.close()


def request_key(value: bytes, namespace: Namespace) -> bytes:
    """The cache key of a request, as a worker would have it. ValueError for what is no request, or is not cached at all."""
    request = Request.model_validate_json(value)
    key = cache_key(payload_digest(request.operation, request.payload), namespace, request.agent_id or "")
    if key is None:
        raise ValueError('nothing is shared: cache.namespace is "none"')
    return key


@dataclass(frozen=True, slots=True)
class FoundEntry:
    """An entry and the store it was found in."""

    path: str
    stored: Stored

    def details(self, now: float) -> dict[str, Any]:
        """For programs and people: the entry as it was published, and how long it is still good."""
        try:
            entry: Any = orjson.loads(self.stored.value)
        except orjson.JSONDecodeError:
            entry = None
        return {
            "store": self.path,
            "expires_in_s": round(self.stored.expires_at - now, 3),
            "expired": self.stored.expires_at <= now,
            "bytes": len(self.stored.value),
            "entry": entry,
        }


def find_entry(root: Path, key: bytes) -> FoundEntry | None:
    """The entry under a key, from the store that has the one that is good longest. Raises StoreError."""
    found: list[FoundEntry] = []
    for path in store_dirs(root):
        with _beside(path) as db:
            raw: Any = db.get(key)
        stored = None if raw is None else unpack(key, raw)
        if stored is not None:
            found.append(FoundEntry(str(path), stored))
    return max(found, key=lambda each: each.stored.expires_at, default=None)


async def compact(root: Path, options: TableOptions) -> dict[str, str]:
    """Compact every store that no worker has open. Gives what came of each, by path. Raises StoreError."""
    came = {}
    for path in store_dirs(root):
        owner = lock_owner(path)
        if owner is not None:
            came[str(path)] = f"left alone: open in {owner}, which compacts by itself"
            continue
        before = disk_bytes(path)
        table = await DiskTable.open(path, options)
        try:
            await table.compact()
        finally:
            await table.close()
        came[str(path)] = f"compacted: {before} -> {disk_bytes(path)} bytes"
    return came


async def live_keys(client_options: Mapping[str, Any], topic: str, chosen: Collection[bytes] = ()) -> list[bytes]:
    """Keys of the entries' topic that hold a value, or those of `chosen` that do. Raises ProvisionError."""
    live: dict[bytes, bool] = {}
    async with open_reader(client_options, isolation_level="read_committed") as consumer:
        partitions = await partitions_of(consumer, [topic])
        begins, ends = await begin_offsets(consumer, partitions), await end_offsets(consumer, partitions)
        async for record in read_until(consumer, begins, ends):
            if record.key and (not chosen or record.key in chosen):
                live[record.key] = record.value is not None
    return [key for key, has_value in live.items() if has_value]


async def delete_keys(client_options: Mapping[str, Any], topic: str, keys: Collection[bytes]) -> None:
    """Publish a deletion of each key: every worker drops it from memory and disk. Raises ProvisionError, KafkaError."""
    async with open_writer(client_options, linger_ms=5, enable_idempotence=False) as producer:
        waiting = []
        for key in keys:
            waiting.append(await producer.send(topic, key=key, value=None))
            if len(waiting) >= _SENT_AT_ONCE:
                await waiting.pop(0)
        for acked in waiting:
            await acked


async def worker_figures(address: str) -> dict[str, float]:
    """A running worker's cache metrics, from its /metrics. Raises OSError where nobody answers."""
    from aiohttp import ClientError, ClientSession, ClientTimeout
    from prometheus_client.parser import text_string_to_metric_families

    try:
        async with (
            ClientSession(timeout=ClientTimeout(5)) as session,
            session.get(f"http://{address}/metrics") as answer,
        ):
            answer.raise_for_status()
            text = await answer.text()
    except (ClientError, TimeoutError) as error:
        raise OSError(f"no worker answers at {address}: its log line `ready` names its address") from error
    return {
        sample.name.removeprefix("headrace_cache_")
        + "".join(f".{value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("headrace_cache_") and not sample.name.endswith("_created")
    }
