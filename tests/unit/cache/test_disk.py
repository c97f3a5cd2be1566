"""The table on disk against a plain dictionary with a clock, and what it says and does when its files are not as they should."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.cache.disk import DiskTable, Entry
from streams.cache.errors import StoreClosedError, StoreCorruptError, StoreError, StoreLockedError
from streams.cache.layout import pack, unpack
from streams.cache.rocks import TableOptions
from tests.support.processes import running

OPTIONS = TableOptions(cap_bytes=100_000_000, ttl_s=86_400, block_cache_bytes=2_000_000)
NOW = 1_000_000.0

keys = st.sampled_from([bytes([number]) * 16 for number in range(8)])
values = st.one_of(st.none(), st.binary(max_size=300), st.just(b"x" * 300_000))
puts = st.lists(st.tuples(keys, values, st.floats(0.5, 100.0)), min_size=1, max_size=6)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), puts),
        st.tuples(st.just("wait"), st.floats(0.1, 60.0)),
        st.tuples(st.sampled_from(["reopen", "compact", "purge"]), st.none()),
    ),
    max_size=12,
)


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[DiskTable]:
    opened = await DiskTable.open(tmp_path / "store", OPTIONS)
    yield opened
    await opened.close()


@given(steps)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_the_table_is_a_dictionary_with_a_clock(tmp_path: Path, steps: list[tuple[str, object]]) -> None:
    shutil.rmtree(tmp_path / "store", ignore_errors=True)
    table = await DiskTable.open(tmp_path / "store", OPTIONS)
    model: dict[bytes, tuple[bytes, float]] = {}
    now, offset = NOW, 0
    try:
        for step, given_ in steps:
            if step == "put":
                entries = [Entry(key, value, now + ttl_s) for key, value, ttl_s in given_]  # type: ignore[attr-defined]
                offset += len(entries)
                await table.put_many(entries, {("t", 1): offset})
                for entry in entries:
                    model.pop(entry.key, None)
                    if entry.value is not None:
                        model[entry.key] = (entry.value, entry.expires_at)
            elif step == "wait":
                now += given_  # type: ignore[operator]
            else:
                await getattr(table, step)()
                if step == "purge":
                    model.clear()
            found = await table.get_many([bytes([number]) * 16 for number in range(9)], now)
            # Expiries are kept in milliseconds.
            assert {key: stored.value for key, stored in found.items() if stored.expires_at > now + 0.001} == {
                key: value for key, (value, expires_at) in model.items() if expires_at > now + 0.001
            }
            assert await table.positions() == ({("t", 1): offset} if offset else {})
        assert table.counts.torn == 0
    finally:
        await table.close()


@given(st.binary(max_size=40), st.binary(max_size=200), st.floats(0, 4e9), st.data())
def test_a_value_that_was_changed_or_stands_under_another_key_is_known(
    key: bytes, value: bytes, expires_at: float, data: st.DataObject
) -> None:
    raw = pack(key, value, expires_at)
    stored = unpack(key, raw)
    assert stored is not None
    assert stored.value == value
    assert abs(stored.expires_at - expires_at) <= 0.001
    at = data.draw(st.integers(0, len(raw) - 1))
    bit = 1 << data.draw(st.integers(0, 7))
    assert unpack(key, raw[:at] + bytes([raw[at] ^ bit]) + raw[at + 1 :]) is None
    assert unpack(key, raw[:at]) is None
    assert unpack(key + b"!", raw) is None


async def test_a_foreign_value_is_a_miss_and_counted(table: DiskTable) -> None:
    assert table._db is not None
    table._db[b"k"] = b"written by somebody else, long enough for a head"
    assert await table.get_many([b"k"], NOW) == {}
    assert (table.counts.torn, table.counts.misses) == (1, 1)


async def test_expired_entries_are_misses_and_counted(table: DiskTable) -> None:
    await table.put_many([Entry(b"k", b"v", NOW + 5)])
    assert list(await table.get_many([b"k"], NOW + 4)) == [b"k"]
    assert await table.get_many([b"k"], NOW + 5) == {}
    stats = await table.stats()
    assert (stats.hits, stats.misses, stats.expired, stats.torn) == (1, 1, 1, 0)


async def test_a_second_opener_is_told_that_the_store_is_open(table: DiskTable) -> None:
    with pytest.raises(StoreLockedError, match="is open in this process: stop that one, or give") as caught:
        await DiskTable.open(table.path, OPTIONS)
    assert "\n" not in str(caught.value)


async def test_another_process_is_told_who_has_the_store(table: DiskTable) -> None:
    script = (
        "import asyncio, pathlib, sys; from streams.cache.disk import DiskTable; from streams.cache.rocks import TableOptions\n"
        "try: asyncio.run(DiskTable.open(pathlib.Path(sys.argv[1]), TableOptions(10**8, 60)))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    async with running(sys.executable, "-c", script, str(table.path), stdout=asyncio.subprocess.PIPE) as child:
        out, _ = await child.communicate()
    assert out.decode().startswith(f"StoreLockedError the cache store {table.path} is open in process {os.getpid()}:")


async def test_a_damaged_store_says_how_to_mend_it(tmp_path: Path) -> None:
    path = tmp_path / "store"
    table = await DiskTable.open(path, OPTIONS)
    await table.put_many([Entry(b"k", b"v", NOW)])
    await table.compact()
    await table.close()
    (path / "CURRENT").write_bytes(b"MANIFEST-999999\n")
    with pytest.raises(StoreCorruptError, match="run `headrace cache rebuild`, or delete the folder") as caught:
        await DiskTable.open(path, OPTIONS)
    assert "\n" not in str(caught.value)


def damage(path: Path, random: Random) -> None:
    """Overwrite 64 bytes in the middle of each table file."""
    for file in path.glob("*.sst"):
        size = file.stat().st_size
        with file.open("r+b") as opened:
            opened.seek(random.randrange(size // 8, size // 2))
            opened.write(random.randbytes(64))


async def test_damaged_blocks_are_misses_and_the_rest_is_served(tmp_path: Path) -> None:
    random = Random(7)
    path, options = tmp_path / "store", TableOptions(100_000_000, 86_400, 100_000, compressed=False)
    entries = [Entry(random.randbytes(16), random.randbytes(2_000), NOW + 9) for _ in range(2_000)]
    table = await DiskTable.open(path, options)
    await table.put_many(entries)
    await table.compact()
    await table.close()
    damage(path, random)
    table = await DiskTable.open(path, options)
    try:
        found = await table.get_many([entry.key for entry in entries], NOW)
        assert 1_900 < len(found) < 2_000
        assert all(found[entry.key].value == entry.value for entry in entries if entry.key in found)
        assert table.counts.torn == 2_000 - len(found)
        await table.reopen()
        assert (await table.get_many([entries[-1].key, *found], NOW)).keys() >= found.keys()
    finally:
        await table.close()


async def test_a_closed_table_says_so(tmp_path: Path) -> None:
    table = await DiskTable.open(tmp_path, OPTIONS)
    await table.close()
    await table.close()
    calls: list[Callable[[], object]] = [
        lambda: table.get_many([b"k"], NOW),
        lambda: table.put_many([]),
        table.positions,
        table.stats,
    ]
    for call in calls:
        with pytest.raises(StoreClosedError):
            await call()  # type: ignore[misc]
    await (await DiskTable.open(tmp_path, OPTIONS)).close()


async def test_a_folder_that_may_not_be_written_is_no_corrupt_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="does not open") as caught:
        await DiskTable.open(tmp_path / "file" / "store", OPTIONS)
    assert not isinstance(caught.value, StoreCorruptError)


async def test_purged_room_is_given_back(tmp_path: Path) -> None:
    random = Random(1)
    table = await DiskTable.open(tmp_path, OPTIONS)
    try:
        await table.put_many([Entry(random.randbytes(16), random.randbytes(10_000), NOW) for _ in range(2_000)])
        await table.compact()
        assert (await table.stats()).disk_bytes > 20_000_000
        await table.purge()
        stats = await table.stats()
        assert (stats.entries, stats.files) == (0, 0)
        async with asyncio.timeout(60):
            while (await table.stats()).disk_bytes > 2_000_000:  # noqa: ASYNC110 - files go in the background
                await asyncio.sleep(0.01)
    finally:
        await table.close()


async def test_look_ups_are_answered_while_the_table_compacts(table: DiskTable) -> None:
    random = Random(2)
    await table.put_many([Entry(random.randbytes(16), random.randbytes(10_000), NOW + 9) for _ in range(1_000)])
    await table.put_many([Entry(b"k", b"v", NOW + 9)])
    compacting = asyncio.create_task(table.compact())
    answered = 0
    while not compacting.done():
        assert (await table.get_many([b"k"], NOW))[b"k"].value == b"v"
        answered += 1
    await compacting
    assert answered > 1
