"""The table on disk at size: how fast a hit is, whether the cap holds and the oldest go first, how much compression saves.

HEADRACE_FULL=1 runs the sizes that are promised; by default they are smaller and the bars the same.
"""

import asyncio
import contextlib
import math
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import pytest

from schemas.cache_entry import encode_answer
from schemas.response import Usage
from streams.cache import disk
from streams.cache.disk import DiskTable, Entry
from streams.cache.errors import StoreError
from streams.cache.layout import Stored
from streams.cache.rocks import TableOptions, disk_bytes
from tests.support.fixtures import FULL, Measured

NOW, LATER = 1_000_000.0, 1_000_000.0 + 86_400

HIT_P99_S = 0.002
ATTEMPTS = 3
"""What else runs on the machine costs latency: the best of some rounds counts."""
ENTRIES = 1_000_000 if FULL else 100_000
CAP_BYTES = 200_000_000 if FULL else 40_000_000
WRITTEN_BYTES = 5 * CAP_BYTES
BUSY = 8
"""RocksDB drops files on a thread that gives way to all else: with as many processes beside it it is far behind."""
COMPRESSED_BYTES = 100_000_000 if FULL else 20_000_000

WORDS = """
the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which one
you were all her she there would their we him been has when who will no more if out so up said what its about than
into them can only other time new some could these two may first then do any like my now over such our man me even
most made after also did many off before must well back through years much where your way down should because long
each just state people those too mr how little good world make very year still see own work men day get here old life
both between being under three never know same last another while us might great go come since against right came take
used himself few house american use place during high without again home around small however found mrs part school
thought went say general once upon war left number every
""".split()  # noqa: SIM905


def text(random: Random, words: int) -> bytes:
    """Words in the frequencies of a language (Zipf), with numbers and names among them: compressible as an answer is."""
    chosen = random.choices(WORDS, [1 / rank for rank in range(1, len(WORDS) + 1)], k=words)
    for at in range(0, words, 7):
        chosen[at] = (
            f"{random.randrange(10_000)}" if at % 2 else "".join(random.choices("abcdefghijklmnoprstuvwy", k=8))
        )
    return " ".join(chosen).encode()


def answer(random: Random) -> bytes:
    """An answer as a provider writes it."""
    content = text(random, random.randrange(40, 400)).decode()
    payload = (
        f'{{"id":"chatcmpl-{random.getrandbits(96):024x}","object":"chat.completion","created":{random.randrange(10**9)},'
        f'"model":"small","choices":[{{"index":0,"message":{{"role":"assistant","content":"{content}"}},'
        '"finish_reason":"stop"}],"usage":{"prompt_tokens":200,"completion_tokens":100,"total_tokens":300}}'
    )
    return encode_answer(
        model="small",
        payload=payload.encode(),
        usage=Usage(200, 100, 300),
        provider="main",
        created_at=NOW,
        expires_at=LATER,
    )


def key(number: int) -> bytes:
    return Random(number).randbytes(16)


def chunks(entries: Iterator[Entry], size: int) -> Iterator[list[Entry]]:
    while chunk := [entry for _, entry in zip(range(size), entries, strict=False)]:
        yield chunk


def p99(times_s: Sequence[float]) -> float:
    return sorted(times_s)[math.ceil(len(times_s) * 0.99) - 1]


async def hits(table: DiskTable, random: Random) -> list[float]:
    """Seconds that each of 5,000 look-ups took, by the caller's clock."""
    times_s = []
    for _ in range(5_000):
        wanted = [key(random.randrange(ENTRIES))]
        began = time.perf_counter()
        found = await table.get_many(wanted, NOW)
        times_s.append(time.perf_counter() - began)
        assert len(found) == 1
    return times_s


@pytest.mark.alone
@pytest.mark.timeout(900)
async def test_a_hit_on_disk_takes_at_most_2_ms_at_p99(tmp_path: Path, measured: Measured) -> None:
    random = Random(3)
    answers = [answer(random) for _ in range(5_000)]
    table = await DiskTable.open(tmp_path, TableOptions(10_000_000_000, 86_400))
    try:
        written_in_s = -time.perf_counter()
        for chunk in chunks((Entry(key(n), answers[n % 5_000], LATER) for n in range(ENTRIES)), 1_000):
            await table.put_many(chunk)
        written_in_s += time.perf_counter()
        attempts = [await hits(table, random) for _ in range(ATTEMPTS)]
        lists = []
        for _ in range(200):
            wanted = [key(random.randrange(ENTRIES * 2)) for _ in range(100)]
            began = time.perf_counter()
            await table.get_many(wanted, NOW)
            lists.append(time.perf_counter() - began)
        stats = await table.stats()
    finally:
        await table.close()
    best = min(attempts, key=p99)
    measured(
        f"{ENTRIES:,} entries, {stats.disk_bytes / 1e6:.0f} MB in {stats.files} files, written at "
        f"{ENTRIES / written_in_s:,.0f}/s; a hit p50 {sorted(best)[len(best) // 2] * 1e3:.2f} ms, p99 {p99(best) * 1e3:.2f} ms; "
        f"a list of 100, half of them misses, p50 {sorted(lists)[100] * 1e3:.1f} ms"
    )
    assert p99(best) <= HIT_P99_S


@contextlib.contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Processes that take all the time of the processors that they get."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.long
@pytest.mark.parametrize("busy", [0, BUSY])
@pytest.mark.timeout(900)
async def test_the_cap_holds_at_every_moment_and_the_oldest_go_first(
    tmp_path: Path, measured: Measured, busy: int
) -> None:
    random = Random(5)
    table = await DiskTable.open(tmp_path, TableOptions(CAP_BYTES, 86_400))
    samples: list[int] = []
    stopped = asyncio.Event()

    async def sample() -> None:
        while not stopped.is_set():
            samples.append(await asyncio.to_thread(disk_bytes, tmp_path))
            await asyncio.sleep(0.02)

    sampling = asyncio.create_task(sample())
    try:
        written, count = 0, 0
        began = time.perf_counter()
        with busy_processes(busy):
            while written < WRITTEN_BYTES:
                chunk = []
                for _ in range(20):
                    value = random.randbytes(min(2_000_000, int(random.paretovariate(0.8) * 300)))
                    chunk.append(Entry(key(count), value, LATER))
                    count, written = count + 1, written + len(value)
                await table.put_many(chunk)
        took_s = time.perf_counter() - began
        await table.compact()
        left: dict[bytes, Stored] = {}
        for start in range(0, count, 500):
            left |= await table.get_many([key(number) for number in range(start, min(count, start + 500))], NOW)
    finally:
        stopped.set()
        await sampling
        await table.close()
    oldest = next(number for number in range(count) if key(number) in left)
    measured(
        f"{written / 1e6:.0f} MB written at {written / took_s / 1e6:.0f} MB/s under a cap of {CAP_BYTES / 1e6:.0f} MB, "
        f"{busy} busy processes: at most "
        f"{max(samples) / CAP_BYTES:.1%} of it in {len(samples)} samples; the newest {len(left):,} of {count:,} are left"
    )
    assert max(samples) <= CAP_BYTES * 1.1
    assert all(key(number) in left for number in range(oldest, count))
    assert sum(len(stored.value) for stored in left.values()) >= CAP_BYTES * 0.65


@pytest.mark.long
async def test_text_takes_at_most_half_its_size(tmp_path: Path, measured: Measured) -> None:
    random = Random(9)
    table = await DiskTable.open(tmp_path, TableOptions(10_000_000_000, 86_400))
    try:
        written, count = 0, 0
        while written < COMPRESSED_BYTES:
            chunk = [Entry(key(count + number), answer(random), LATER) for number in range(200)]
            count += len(chunk)
            written += sum(len(entry.value or b"") for entry in chunk)
            await table.put_many(chunk)
        await table.compact()
        ratio = written / (await table.stats()).files_bytes
    finally:
        await table.close()
    measured(f"{written / 1e6:.0f} MB of answers compress {ratio:.2f}x")
    assert ratio >= 2


async def test_a_table_that_makes_no_room_says_so_and_does_not_wait_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = await DiskTable.open(tmp_path, TableOptions(100_000_000, 86_400))
    try:
        monkeypatch.setattr(disk, "_LONGEST_STALL_S", 0.2)
        monkeypatch.setattr(TableOptions, "files_bytes", -1)
        monkeypatch.setattr(TableOptions, "full_at_bytes", 0)
        with pytest.raises(StoreError, match="made no room in 0 s: is the disk full"):
            await table.put_many([Entry(b"k", b"v", LATER)])
    finally:
        await table.close()


async def test_files_whose_entries_are_all_too_old_go_as_a_whole(tmp_path: Path) -> None:
    random = Random(11)
    table = await DiskTable.open(tmp_path, TableOptions(100_000_000, ttl_s=1))
    try:
        await table.put_many([Entry(random.randbytes(16), random.randbytes(1_000), LATER) for _ in range(3_000)])
        await table.compact()
        async with asyncio.timeout(60):
            while (await table.stats()).files:
                await asyncio.sleep(0.2)
                await table.compact()
        assert await table.get_many([b"k"], NOW) == {}
    finally:
        await table.close()
