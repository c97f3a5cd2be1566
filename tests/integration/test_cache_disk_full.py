"""A cache store whose disk is full goes on without it, says so, and comes back by itself; and stores that are opened together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.brokers import Broker
from streams.cache.disk import DiskTable
from streams.cache.errors import StoreCorruptError, StoreError, StoreLockedError, opening_error
from streams.cache.lock import FolderLock
from streams.cache.rocks import TableOptions
from streams.cache.store_dirs import open_store
from tests.integration.test_cache_sharing import keys_of, publish, side, topic, until
from tests.support.fixtures import FULL, Measured

__all__ = ["topic"]

DISK_BYTES = 12_000_000
ROUNDS, AT_ONCE = (200, 4) if FULL else (8, 4)
OPTIONS = TableOptions(cap_bytes=100_000_000, ttl_s=86_400, block_cache_bytes=2_000_000)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MB."""
    path = tmp_path / "small"
    path.mkdir()
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("a file system of its own needs root")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(path)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("no file system may be mounted here")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=False)


def fill(path: Path) -> Path:
    """Take all the room that there is."""
    ballast = path / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(65_536))
    with ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0")
    return ballast


@pytest.mark.timeout(120)
async def test_a_store_whose_disk_was_full_is_filled_again_when_there_is_room(
    broker: Broker, topic: str, small_disk: Path, measured: Measured
) -> None:
    """facebook/rocksdb#919, #9762 and #11643 report stores that stay read-only when there is room again."""
    noise = random.Random(1)
    async with side(broker, topic, small_disk, "a") as one:
        before, during, after = keys_of(range(100)), keys_of(range(100, 160)), keys_of(range(160, 200))
        publish(one, before, noise.randbytes(2_000))
        await one.sees(before)
        ballast = fill(small_disk)
        for key in during:
            publish(one, [key], noise.randbytes(60_000))
        await until(lambda: one.reader.store_failed)
        await asyncio.sleep(8)  # several tries, each of which finds no room
        assert one.reader.store_failed
        ballast.unlink()
        began = time.monotonic()
        publish(one, after, noise.randbytes(2_000))
        await until(lambda: one.table.is_open)
        await one.sees([*during, *after], within_s=30)
        measured(f"all is there {time.monotonic() - began:.1f} s after there was room")
        assert one.table.is_open
        assert not one.reader.store_failed


async def test_while_a_store_cannot_be_opened_look_ups_fail_and_another_try_opens_it(tmp_path: Path) -> None:
    path = tmp_path / "store"
    table = await DiskTable.open(path, OPTIONS)
    hidden = tmp_path / "elsewhere"
    path.rename(hidden)
    path.write_text("a file where the folder was")
    for _ in range(2):
        with pytest.raises(StoreError, match="does not open"):
            await table.reopen()
        assert not table.is_open
        with pytest.raises(StoreError, match="opened again"):
            await table.get_many([b"k"], 0.0)
    path.unlink()
    hidden.rename(path)
    await table.reopen()
    assert table.is_open
    assert await table.get_many([b"k"], 0.0) == {}
    await table.close()
    assert not table.is_open


OPENER = """
import asyncio, pathlib, sys
from streams.cache.store_dirs import open_store
from streams.cache.rocks import TableOptions
async def main():
    sys.stdin.readline()
    try:
        table = await open_store(pathlib.Path(sys.argv[1]), TableOptions(100_000_000, 86_400, 2_000_000))
        print("slot", table.path.name, flush=True)
    except Exception as error:
        print(type(error).__name__, error, flush=True)
    sys.stdin.readline()
print("here", flush=True)
asyncio.run(main())
"""


@pytest.mark.timeout(1200 if FULL else 120)
def test_workers_that_start_together_on_one_folder_all_have_a_slot(tmp_path: Path, measured: Measured) -> None:
    """RocksDB moves LOG before it takes LOCK: one of two finds it gone (HarperFast/rocksdb-js#814 is of the kind)."""
    said: list[str] = []
    for number in range(ROUNDS):
        root = tmp_path / f"root-{number % 20 if number % 2 else number}"  # new folders, and used ones
        openers = [
            subprocess.Popen(
                [sys.executable, "-c", OPENER, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(AT_ONCE)
        ]
        try:
            for opener in openers:
                assert opener.stdout is not None
                assert opener.stdout.readline() == "here\n"
            for _ in range(2):
                for opener in openers:
                    assert opener.stdin is not None
                    opener.stdin.write("\n")
                    opener.stdin.flush()
                if not _:
                    said += [opener.stdout.readline().strip() for opener in openers if opener.stdout is not None]
            for opener in openers:
                opener.communicate(timeout=30)
        finally:
            for opener in openers:
                opener.kill()
                opener.communicate()
        assert sorted(said[-AT_ONCE:]) == [f"slot slot-{each}" for each in range(AT_ONCE)], said[-AT_ONCE:]
    measured(f"{ROUNDS} rounds of {AT_ONCE}: all have a slot")


def test_a_lock_that_is_let_go_of_may_be_taken_and_one_that_is_held_says_by_whom(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path / "slot-0")
    with pytest.raises(BlockingIOError, match=f"process {os.getpid()}"):
        FolderLock(tmp_path / "slot-0")
    lock.release()
    lock.release()
    FolderLock(tmp_path / "slot-0").release()


async def test_files_of_the_store_are_for_its_owner_alone(tmp_path: Path) -> None:
    table = await open_store(tmp_path / "root", OPTIONS)
    try:
        assert stat.S_IMODE(table.path.stat().st_mode) == 0o700
        assert stat.S_IMODE(table.path.with_name("slot-0.lock").stat().st_mode) == 0o600
    finally:
        await table.close()


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("Corruption: block checksum mismatch: stored = 1, computed = 2 in a.sst", StoreCorruptError),
        ("Corruption: CURRENT file does not end with newline", StoreCorruptError),
        ("IO error: No such file or directory: While open a file: /c/MANIFEST-000001", StoreCorruptError),
        ("Invalid argument: Column families not opened: other", StoreCorruptError),
        # facebook/rocksdb#12245
        ("IO error: No such file or directory: While renaming a file to /c/LOG.old.1: /c/LOG", StoreError),
        # facebook/rocksdb#919
        ("IO error: No space left on device: While appending to file: /c/000008.sst", StoreError),
        # facebook/rocksdb#6316
        ("IO error: No space left on device: While fsync: /c/MANIFEST-013313", StoreError),
        # facebook/rocksdb#11345
        ("IO error: Failed to rename: 000003.dbtmp to CURRENT: access denied", StoreError),
        ("IO error: Input/output error: While pread offset 0 len 53: /c/000008.sst", StoreError),
        ("IO error: Stale file handle: While fstat: /c/MANIFEST-000004", StoreError),
        ("Something that nobody has seen yet", StoreError),
        # fastogt/fastonosql#57
        ("IO error: While lock file: /c/LOCK: No locks available", StoreError),
        # facebook/rocksdb#991
        ("IO error: While lock file: /c/LOCK: Resource temporarily unavailable", StoreLockedError),
    ],
)
def test_only_what_is_damaged_is_called_damaged(said: str, kind: type[StoreError]) -> None:
    found = opening_error(Path("/c"), Exception(said), lambda _: None)
    assert type(found) is kind
    assert "\n" not in str(found)
