"""`headrace cache` on real stores and a real topic: beside the process that has a store open, and after it."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from ops.brokers import Broker
from schemas.cache_entry import encode_answer
from schemas.response import Usage
from streams.cache.disk import DiskTable, Entry
from streams.cache.key import payload_digest
from streams.cache.rocks import TableOptions
from streams.cache.store_dirs import open_store, store_dir
from tests.integration.test_cache_sharing import keys_of, publish, side
from tests.support.cli import Called, headrace
from tests.support.pipeline import fresh_topics

OPTIONS = TableOptions(cap_bytes=100_000_000, ttl_s=86_400)
PAYLOAD = {"model": "small", "messages": [{"role": "user", "content": "hi"}]}
KEY = payload_digest("chat.completions", PAYLOAD)


@pytest.fixture
def settings(tmp_path: Path, kafka: Broker) -> Path:
    path = tmp_path / "headrace.toml"
    path.write_text(
        f'kafka.bootstrap_servers = "{kafka.bootstrap_servers}"\ncache.disk.path = "{tmp_path / "stores"}"\n'
        'cache.disk.size = "100MB"\n'
    )
    return path


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[DiskTable]:
    opened = await open_store(tmp_path / "stores", OPTIONS)
    now = time.time()
    value = encode_answer(
        model="small", payload=b'{"choices":[]}', usage=Usage(), provider="p", created_at=now, expires_at=now + 60
    )
    await opened.put_many([Entry(KEY, value, now + 60), Entry(b"old" * 4, b"{}", now - 1)], {("cache.entries", 3): 7})
    yield opened
    await opened.close()


def read(called: Called) -> dict[str, Any]:
    assert called.code == 0, called.err
    loaded: dict[str, Any] = orjson.loads(called.out)
    return loaded


async def test_stats_shows_a_store_that_is_in_use_and_who_uses_it(table: DiskTable, settings: Path) -> None:
    (store,) = read(await headrace("cache", "stats", "--json", settings=settings))["stores"]
    assert (store["path"], store["entries"], store["positions"]) == (str(table.path), 2, {"3": 7})
    assert store["open_in"].startswith("process ")
    text = await headrace("cache", "stats", settings=settings)
    assert (text.code, "about 2" in text.out, "3:7" in text.out) == (0, True, True)


async def test_get_finds_an_answer_by_its_key_and_by_its_request(table: DiskTable, settings: Path) -> None:
    request = orjson.dumps({"agent_id": "a", "payload": {**PAYLOAD, "stream": True}}).decode()
    for arguments, stdin in ((("get", KEY.hex()), ""), (("get", "-"), request)):
        found = read(await headrace("cache", *arguments, "--json", settings=settings, stdin=stdin))
        assert found["key"] == KEY.hex()
        assert found["entry"]["payload"] == {"choices": []}


async def test_get_says_in_one_line_what_is_not_there(table: DiskTable, settings: Path) -> None:
    for what, code, words in (("0" * 32, 1, "not cached here"), ("nowhere.json", 2, "is no key"), ("-", 2, "-: ")):
        called = await headrace("cache", "get", what, settings=settings, stdin="{}")
        assert (called.code, called.out) == (code, "")
        assert words in called.err
        assert called.err.count("\n") == 1


async def test_stores_in_use_are_left_alone_and_free_ones_are_compacted_and_rebuilt(
    table: DiskTable, settings: Path, tmp_path: Path
) -> None:
    free = store_dir(tmp_path / "stores", 1)
    await (await DiskTable.open(free, OPTIONS)).close()
    for command in (("compact",), ("rebuild",), ("rebuild", "--yes")):
        came = read(await headrace("cache", *command, "--json", settings=settings))["stores"]
        assert came[str(table.path)].startswith("left alone: open in process ")
        assert came[str(free)].startswith(("compacted", "would be deleted") if "--yes" not in command else "deleted")
        assert free.exists() == ("--yes" not in command)
    assert (await table.get_many([KEY], time.time())).keys() == {KEY}


async def test_a_damaged_store_is_named_and_can_be_rebuilt(settings: Path, tmp_path: Path) -> None:
    damaged = store_dir(tmp_path / "stores", 0)
    await (await DiskTable.open(damaged, OPTIONS)).close()
    (damaged / "CURRENT").write_bytes(b"MANIFEST-999999\n")
    called = await headrace("cache", "stats", settings=settings)
    assert called.code == 1
    assert f"{damaged}  cannot be read:" in called.out
    assert "headrace cache rebuild" in called.out
    assert (await headrace("cache", "rebuild", "--yes", settings=settings)).code == 0
    await (await open_store(tmp_path / "stores", OPTIONS)).close()


async def test_purge_clears_running_workers_through_the_topic(kafka: Broker, settings: Path, tmp_path: Path) -> None:
    await fresh_topics({"bootstrap_servers": kafka.bootstrap_servers})
    keys = keys_of(range(30))
    async with side(kafka, "cache.entries", tmp_path, "a") as a, side(kafka, "cache.entries", tmp_path, "b") as b:
        publish(a, keys)
        await a.sees(keys)
        await b.sees(keys)
        assert read(await headrace("cache", "purge", "--json", settings=settings)) == {"dry_run": True, "entries": 30}
        assert len(await a.table.get_many(keys, time.time())) == 30
        assert read(await headrace("cache", "purge", "--yes", "--json", settings=settings))["entries"] == 30
        await a.sees_none(keys)
        await b.sees_none(keys)
        assert set(a.news) == set(keys)
        assert read(await headrace("cache", "purge", "--json", settings=settings))["entries"] == 0
