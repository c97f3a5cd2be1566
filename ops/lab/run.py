"""One schedule from start to end: stand it up, load it, break it, wait, kill all workers once more, read the books."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson
from aiokafka.errors import KafkaError

from ops.lab import audit
from ops.lab.book import Book, Disturbance
from ops.lab.checker import BOUND_S, COMMIT_S, Verdict, Violation, check
from ops.lab.faults import apply, wait_in_sync
from ops.lab.recovery import Recovery, recoveries
from ops.lab.schedule import Schedule
from ops.lab.traffic_plan import PROVIDER_OF, plan
from ops.lab.world import GROUP, World, now, rss_bytes
from ops.load.ledger import Ledger
from ops.load.traffic import SendError, Traffic

Say = Callable[[str], None]

RATE_PER_S: Final = 25.0
_LOOK_EVERY_S: Final = 1.0
_RSS_EVERY_S: Final = 5.0
_PROGRESS_EVERY_S: Final = 30.0
_GIVE_UP_S: Final = 120.0
"""After it what has no answer is lost."""

_AFTER_KILL_S: Final = 4.0
"""How long the workers after the last kill have for calling again what they must not: they read commits at once."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Resident bytes of every process at a time."""

    at: float
    rss: dict[str, int]


@dataclass(slots=True)
class Outcome:
    """All that is known of a run."""

    schedule: Schedule
    book: Book
    verdict: Verdict
    recoveries: list[Recovery]
    samples: list[Sample] = field(default_factory=list)
    began_at: float = 0.0
    load_s: float = 0.0
    interrupted: bool = False

    @property
    def held(self) -> bool:
        """Whether the promise held."""
        return not self.verdict.violations


async def run_schedule(
    schedule: Schedule,
    folder: Path,
    *,
    rate_per_s: float = RATE_PER_S,
    say: Say = lambda line: None,
    stop: asyncio.Event | None = None,
) -> Outcome:
    """Run a schedule once; logs and books are left in `folder`.

    `stop` ends the load and the faults early; what was sent is waited for and checked all the same.
    Raises BrokerError, ProvisionError, WorkerError and RuntimeError where it cannot be stood up.
    """
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    disturbances: list[Disturbance] = []
    samples: list[Sample] = []
    stop = stop or asyncio.Event()
    async with World(folder, schedule.seed, spare_first=schedule.spare_first, progress=say) as world:
        say(f"{len(schedule.faults)} faults in {schedule.seconds:g} s, {rate_per_s:g} requests/s; logs in {folder}")
        began_at = now()
        async with Traffic(world.client_options, Ledger()) as traffic:
            watching = asyncio.create_task(_watch(world, samples, traffic, began_at, say))
            try:
                await _until_first(
                    stop.wait(),
                    _together(_load(traffic, schedule, rate_per_s), _break(world, schedule, disturbances, say)),
                )
                load_s = now() - began_at
                await _mend(world)
                over_at = now()
                left = await _wait_committed(world)
                if left:
                    say(f"{left} requests are not committed {_GIVE_UP_S:.0f} s after all was well")
                await asyncio.sleep(COMMIT_S)
                killed_at = now()
                await world.kill_all_workers()
                disturbances.append(Disturbance("last_kill", "all workers", killed_at, killed_at, killed_at))
                await asyncio.sleep(_AFTER_KILL_S)
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
        asked, ended = await audit.read_topics(world.client_options, PROVIDER_OF)
        calls = [call for provider in world.providers.values() for call in provider.calls()]
        limits = {name: provider.limit for name, provider in world.providers.items() if provider.limit is not None}
    book = Book(asked, ended, calls, disturbances, limits, world.exits, over_at)
    await asyncio.to_thread((folder / "book.json").write_bytes, orjson.dumps(book))
    verdict = check(book)
    if left and not verdict.lost:
        verdict = verdict.with_more(Violation("not committed", f"{left} records are answered and not committed"))
    found = [each for each in recoveries(book) if each.fault.kind != "last_kill"]
    return Outcome(schedule, book, verdict, found, samples, began_at, load_s, stop.is_set())


async def _load(traffic: Traffic, schedule: Schedule, rate_per_s: float) -> None:
    """Send at the rate until the schedule's time is over; what the brokers do not take was never asked."""
    began = time.monotonic()
    for number, planned in enumerate(plan(schedule.seed)):
        at = number / rate_per_s
        if at >= schedule.seconds:
            return
        await asyncio.sleep(max(0.0, began + at - time.monotonic()))
        with contextlib.suppress(SendError):
            await traffic.send(planned.priority, planned.agent_id, planned.value)


async def _break(world: World, schedule: Schedule, disturbances: list[Disturbance], say: Say) -> None:
    """Do the faults, each lane in its order: one that takes longer than planned makes the next ones late."""
    began = time.monotonic()

    async def lane(name: str) -> None:
        for fault in (fault for fault in schedule.faults if fault.lane == name):
            await asyncio.sleep(max(0.0, began + fault.at_s - time.monotonic()))
            if name == "cluster":
                await wait_in_sync(world)
            if time.monotonic() - began > schedule.seconds:
                return
            say(f"{time.monotonic() - began:6.1f} s  {fault.kind}")
            try:
                done = await apply(world, fault)
            except Exception as error:
                # The run goes on, and fails: what was not undone may be felt to its end.
                world.exits.append(f"the lab could not do or undo {fault}: {error!r}")
                say(world.exits[-1])
                continue
            if done is not None:
                disturbances.append(done)
            met = done.detail if done is not None else "it met nobody"
            say(f"{time.monotonic() - began:6.1f} s  {fault.kind} is over: {met}")

    await _together(lane("cluster"), lane("fleet"))


async def _mend(world: World) -> None:
    """Everything is well again, also what an early end left broken."""
    for proxy in world.proxies:
        proxy.set("well")
    for node in world.cluster.nodes:
        if not node.alive:
            world.cluster.start(node)
        await world.cluster.wait_live(node)
    await world.replace_dead()
    await wait_in_sync(world)


async def _wait_committed(world: World) -> int:
    """Until the group has committed all; how many records it has not after `_GIVE_UP_S`."""
    ends_at, left = time.monotonic() + _GIVE_UP_S, 1
    while left and time.monotonic() < ends_at:
        with contextlib.suppress(KafkaError, OSError, TimeoutError):
            left = await audit.uncommitted(world.client_options, GROUP)
        if left:
            await asyncio.sleep(_LOOK_EVERY_S)
    return left


async def _watch(world: World, samples: list[Sample], traffic: Traffic, began_at: float, say: Say) -> None:
    told_at = sampled_at = began_at
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        for line in world.look():
            say(line)
        at = now()
        if at - sampled_at >= _RSS_EVERY_S:
            sampled_at = at
            samples.append(Sample(at, {name: rss_bytes(pid) for name, pid in world.processes().items()}))
        if at - told_at >= _PROGRESS_EVERY_S:
            told_at = at
            books = traffic.ledger.summary()
            say(
                f"{at - began_at:6.0f} s  sent {books.sent}  ok {books.ok}  error {books.error}  expired {books.expired}  "
                f"open {traffic.open}  twice {books.duplicates}  p99 {books.p99_ms:.0f} ms"
            )


async def _together(*works: Awaitable[None]) -> None:
    """All of them; the first that fails ends the others."""
    async with asyncio.TaskGroup() as group:
        for work in works:
            group.create_task(_awaited(work))


async def _until_first(*works: Awaitable[object]) -> None:
    """Until one of them ends; the others are cancelled, and what failed is raised."""
    tasks = [asyncio.create_task(_awaited(work)) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception):
            raise end


async def _awaited(work: Awaitable[object]) -> None:
    await work


def in_time(recovery: Recovery, bound_s: float = BOUND_S) -> bool:
    """Whether a fault was felt no longer than it may."""
    return recovery.recovered_s <= bound_s
