"""The governor on real parts: a real memory tier, the real collector and allocator; only the load is the test's own."""

from __future__ import annotations

import asyncio
import gc
import platform
import subprocess
import sys
import time
import weakref
from dataclasses import dataclass, field

import psutil
import pytest

from streams.cache.memory import ENTRY_BYTES, MemoryTier
from streams.governor import Budget, Governor
from streams.governor.reclaim import find_give_back
from streams.metrics import definitions as metrics
from streams.settings import Settings, load_settings

BUDGET = Budget(1_000_000_000, "the test")


@dataclass
class Partitions:
    """Two partitions, and what is held of them."""

    unfinished: int = 1
    partitions: dict[tuple[str, int], object] = field(default_factory=lambda: {("a", 0): None, ("a", 1): None})
    held: set[tuple[str, int]] = field(default_factory=set)

    def hold(self, partition: tuple[str, int], reason: str) -> None:
        assert reason == "memory is short"
        self.held.add(partition)

    def release(self, partition: tuple[str, int], reason: str) -> None:
        self.held.discard(partition)


class Rig:
    def __init__(self, settings: Settings) -> None:
        self.rss = 0
        self.now = 100.0
        self.partitions = Partitions()
        self.tier: MemoryTier[bytes] = MemoryTier(400_000_000, {"responses": 0.7, "metadata": 0.3})
        self.governor = Governor(
            BUDGET, settings, self.tier, self.partitions, rss=lambda: self.rss, clock=lambda: self.now
        )

    def look(self, rss: int) -> None:
        self.rss, self.now = rss, self.now + 1
        self.governor.look()


@pytest.fixture
def rig() -> Rig:
    return Rig(load_settings(environ={}))


def test_partitions_are_held_above_the_line_and_released_below(rig: Rig) -> None:
    rig.look(910_000_000)
    assert rig.partitions.held == {("a", 0), ("a", 1)}
    rig.partitions.partitions[("a", 2)] = None
    rig.look(870_000_000)
    assert len(rig.partitions.held) == 3, "a partition that came meanwhile is held too"
    assert metrics.MEMORY_HELD._value.get() == 1
    rig.look(840_000_000)
    assert not rig.partitions.held
    assert metrics.MEMORY_HELD._value.get() == 0


def test_the_cache_is_cut_by_what_is_too_much_and_grows_again(rig: Rig) -> None:
    for number in range(200):
        rig.tier.responses.put(str(number).encode(), b"", 1_000_000 - ENTRY_BYTES, 1e12, 0.0)
    rig.look(870_000_000)
    rig.look(870_000_000)
    assert 129_000_000 <= rig.tier.held_bytes <= 130_000_000
    assert rig.tier.size_bytes < 400_000_000
    assert metrics.CACHE_SIZE_BYTES._value.get() == rig.tier.size_bytes
    size = rig.tier.size_bytes
    for _ in range(60):
        rig.look(500_000_000)
        for number in range(400):
            rig.tier.responses.put(str(number).encode(), b"", 1_000_000 - ENTRY_BYTES, 1e12, 0.0)
    assert rig.tier.size_bytes == 400_000_000 > size


def test_above_the_aggressive_line_a_cycle_that_is_garbage_goes(rig: Rig) -> None:
    class Node:
        pass

    def cycle() -> weakref.ref[Node]:
        one, two = Node(), Node()
        one.other, two.other = two, one  # type: ignore[attr-defined]
        return weakref.ref(one)

    gc.disable()
    try:
        found = cycle()
        assert found() is not None
        rig.look(870_000_000)
        assert found() is None
    finally:
        gc.enable()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps what is free")
def test_the_allocator_gives_back_what_lies_free_between_what_is_used() -> None:
    process = psutil.Process()
    blocks = [bytes(50_000) + str(n).encode() for n in range(2_000)]
    del blocks[1:1_999]
    before = process.memory_info().rss
    find_give_back()()
    assert before - process.memory_info().rss > 50_000_000


async def test_its_tick_costs_little_and_measures_how_late_the_loop_is() -> None:
    settings = load_settings(environ={"HEADRACE_MEMORY__CHECK_INTERVAL": "10ms"})
    tier: MemoryTier[bytes] = MemoryTier(1_000, {"responses": 0.7, "metadata": 0.3})
    governor = Governor(BUDGET, settings, tier, Partitions())
    count = metrics.LOOP_LAG_SECONDS._sum.get()
    governor.start()
    began = time.thread_time()
    for _ in range(100):
        await asyncio.sleep(0.01)
    cost_s = (time.thread_time() - began) / 100  # the test's own timer included
    time.sleep(0.2)  # noqa: ASYNC251 - the loop is kept from turning
    await asyncio.sleep(0.05)
    await governor.stop()
    assert cost_s < 0.001
    assert metrics.LOOP_LAG_SECONDS._sum.get() - count > 0.15


_FREED = """
import sys, psutil
from streams.governor.reclaim import return_buffers_at_once
if sys.argv[1] == "false":
    return_buffers_at_once()
process = psutil.Process()
buffers = [bytes(1_000_000) for _ in range(3)]
del buffers  # glibc has learnt: it keeps what is smaller now
before = process.memory_info().rss
buffers = [bytes(60_000) + str(n).encode() for n in range(1_000)]
del buffers[1:999]
print(process.memory_info().rss - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps what is free")
@pytest.mark.parametrize("pooled", [True, False])
def test_freed_buffers_are_kept_for_the_next_ones_or_returned_at_once(pooled: bool) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _FREED, str(pooled).lower()], capture_output=True, text=True, check=True
    )
    assert (int(ran.stdout) > 40_000_000) == pooled
