"""kill -9 in the middle of heavy writes: what is in the store afterwards is right, and the positions say what is in it."""

import asyncio
import signal
import sys
import time
from pathlib import Path
from random import Random

import pytest

from streams.cache.disk import DiskTable
from streams.cache.layout import Stored
from streams.cache.rocks import TableOptions
from tests.chaos import cache_writer
from tests.support.fixtures import FULL, Measured

KILLS = 20 if FULL else 6


async def written_until_killed(path: Path, after_s: float) -> None:
    """Start a writer and kill it `after_s` behind its first write, wherever it is then."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", cache_writer.__name__, str(path), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    try:
        assert await child.stdout.readline(), "the writer ended by itself"
        await asyncio.sleep(after_s)
    finally:
        child.send_signal(signal.SIGKILL)
        await child.wait()
    assert child.returncode == -signal.SIGKILL


@pytest.mark.chaos
@pytest.mark.parametrize("cap_bytes", [cache_writer.ROOMY_BYTES, cache_writer.TIGHT_BYTES], ids=["roomy", "at the cap"])
async def test_nothing_torn_and_positions_that_agree_after_kill_9(
    cap_bytes: int, tmp_path: Path, measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(cache_writer.CAP, str(cap_bytes))
    random = Random(1)
    opened_in_s, offset = [], 0
    for _ in range(KILLS):
        await written_until_killed(tmp_path, random.uniform(0.0, 0.6))
        began = time.perf_counter()
        table = await DiskTable.open(tmp_path, TableOptions(cap_bytes, 86_400))
        opened_in_s.append(time.perf_counter() - began)
        try:
            before, offset = offset, (await table.positions())[cache_writer.PARTITION]
            assert offset > before
            found: dict[bytes, Stored] = {}
            for start in reversed(range(0, offset + 2_000, 500)):  # the oldest go meanwhile, so they are read last
                keys = [cache_writer.key(number) for number in range(start, start + 500)]
                found |= await table.get_many(keys, cache_writer.NOW)
            numbers = sorted(cache_writer.number_of(key) for key in found)
            wrong = [n for n in numbers if found[cache_writer.key(n)].value != cache_writer.value(n)]
            assert (wrong, table.counts.torn) == ([], 0)
            # Everything from the oldest that is left up to the position; of the write that was cut off, perhaps a part.
            oldest = 0 if cap_bytes == cache_writer.ROOMY_BYTES else numbers[0]
            assert numbers[: offset - oldest] == list(range(oldest, offset))
            assert len(numbers) - (offset - oldest) < cache_writer.WRITE
        finally:
            await table.close()
    measured(
        f"{KILLS} kills at a cap of {cap_bytes / 1e6:,.0f} MB: {offset:,} entries written, no wrong or torn value, opened again "
        f"within {max(opened_in_s) * 1000:.0f} ms"
    )
