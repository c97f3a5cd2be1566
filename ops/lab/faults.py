"""Each fault done to a world and undone again."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from ops.lab import audit
from ops.lab.book import Disturbance
from ops.lab.link import Mode
from ops.lab.schedule import Fault
from ops.lab.world import World, now, wait_ready_or_ended
from ops.processes.fleet import WorkerProcess
from topics.names import REQUESTS_NORMAL

Doing = Callable[[World, Fault], Awaitable[str | None]]
"""Does and undoes a fault; returns whom it met, None for nobody."""

_SYNC_WITHIN_S: Final = 30.0
_SYNC_LOOK_S: Final = 0.5
_ADDED_PARTITIONS: Final = 2
_REBALANCE_S: Final = 3.0
"""For the group to hear of leaders or partitions that changed."""

_AT_ONCE: Final = frozenset(
    {"broker_kill", "broker_restart", "broker_moves", "rolling_restart", "leaders_move", "partitions_added"}
    | {"worker_kill", "worker_term", "worker_added", "grantor_kill", "control_kill"}
)
"""Faults that the fleet has to work round while they last: recovery counts from their beginning."""


async def apply(world: World, fault: Fault) -> Disturbance | None:
    """Do a fault, undo it, and say when it was there; None where it met nobody."""
    begin = now()
    detail = await _DO[fault.kind](world, fault)
    if detail is None:
        return None
    end = now()
    counted_from = begin if fault.kind in _AT_ONCE else end
    return Disturbance(fault.kind, detail, begin, end, counted_from, not fault.kind.startswith("provider_"))


async def wait_in_sync(world: World) -> bool:
    """Until every replica is in sync again, so that the next broker fault is a single one; False if that takes too long."""
    for _ in range(round(_SYNC_WITHIN_S / _SYNC_LOOK_S)):
        try:
            if not await audit.out_of_sync(world.client_options):
                return True
        except Exception:  # noqa: S110 - a broker that is not back yet: asked again
            pass
        await asyncio.sleep(_SYNC_LOOK_S)
    return False


async def _broker_kill(world: World, fault: Fault) -> str:
    node, _ = world.node(fault.target)
    world.cluster.kill(node)
    await asyncio.sleep(fault.lasts_s)
    world.cluster.start(node)
    await world.cluster.wait_live(node, 2)
    return f"broker {node.number}"


async def _broker_pause(world: World, fault: Fault) -> str:
    node, _ = world.node(fault.target)
    node.signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(fault.lasts_s)
    finally:
        node.signal(signal.SIGCONT)
    return f"broker {node.number}"


async def _broker_restart(world: World, fault: Fault) -> str:
    node, _ = world.node(fault.target)
    await world.cluster.stop(node)
    await asyncio.sleep(fault.lasts_s)
    world.cluster.start(node)
    await world.cluster.wait_live(node, 2)
    return f"broker {node.number}"


async def _broker_moves(world: World, fault: Fault) -> str:
    """It comes back under another address (KAFKA-13277 and others in kind)."""
    node, proxy = world.node(fault.target)
    await world.cluster.stop(node)
    world.cluster.advertise(node, await proxy.move())
    await asyncio.sleep(fault.lasts_s)
    world.cluster.start(node)
    await world.cluster.wait_live(node, 2)
    return f"broker {node.number} to {node.advertised}"


async def _rolling_restart(world: World, fault: Fault) -> str:
    for node in world.cluster.nodes:
        await world.cluster.stop(node)
        world.cluster.start(node)
        await world.cluster.wait_live(node, len(world.cluster.nodes))
        await wait_in_sync(world)
    return "all brokers"


async def _leaders_move(world: World, fault: Fault) -> str:
    await audit.rotate_leaders(world.client_options)
    await asyncio.sleep(_REBALANCE_S)
    return "all partitions"


async def _partitions_added(world: World, fault: Fault) -> str:
    await audit.add_partitions(world.client_options, REQUESTS_NORMAL, _ADDED_PARTITIONS)
    await asyncio.sleep(_REBALANCE_S)
    return REQUESTS_NORMAL


def _network(mode: Mode, delay_s: float = 0.0, jitter_s: float = 0.0) -> Doing:
    async def do(world: World, fault: Fault) -> str:
        node, proxy = world.node(fault.target)
        proxy.set(mode, delay_s, jitter_s)
        try:
            await asyncio.sleep(fault.lasts_s)
        finally:
            proxy.set("well")
        return f"broker {node.number}"

    return do


async def _swizzle(world: World, fault: Fault) -> str:
    """Swizzle-clogging, https://apple.github.io/foundationdb/testing.html: stopped one by one, back in another order."""
    step_s = fault.lasts_s / (2 * len(world.proxies))
    first = fault.target % len(world.proxies)
    order = [*world.proxies[first:], *world.proxies[:first]]
    try:
        for proxy in order:
            proxy.set("half_open")
            await asyncio.sleep(step_s)
    finally:
        for proxy in reversed(order) if fault.target % 2 else order:
            proxy.set("well")
            await asyncio.sleep(step_s)
    return "all brokers"


def _pick(world: World, fault: Fault, spare_first: bool = False) -> int:
    """The place of the worker that a fault means."""
    spared = 1 if spare_first and len(world.workers) > 1 else 0
    return spared + fault.target % (len(world.workers) - spared)


async def _replace(world: World, place: int, number: int, pause_s: float) -> str:
    old = world.workers[place]
    world.end(old, number)
    await asyncio.sleep(pause_s)
    new = world.start_worker()
    # By identity: another fault may have changed the list meanwhile.
    if old in world.workers:
        world.workers[world.workers.index(old)] = new
    else:
        world.workers.append(new)
    await wait_ready_or_ended(new)
    return f"{old.name}, now {new.name}"


async def _worker_kill(world: World, fault: Fault) -> str:
    return await _replace(world, _pick(world, fault, world.spare_first), signal.SIGKILL, fault.lasts_s)


async def _worker_term(world: World, fault: Fault) -> str:
    return await _replace(world, _pick(world, fault, world.spare_first), signal.SIGTERM, fault.lasts_s)


async def _grantor_kill(world: World, fault: Fault) -> str | None:
    grantor = world.grantor()
    if grantor is None or (world.spare_first and grantor is world.workers[0]):
        return None
    return await _replace(world, world.workers.index(grantor), signal.SIGKILL, fault.lasts_s)


async def _worker_pause(world: World, fault: Fault) -> str:
    worker = world.workers[_pick(world, fault)]
    return await _pause(worker, fault.lasts_s)


async def _worker_added(world: World, fault: Fault) -> str:
    added = world.start_worker()
    world.workers.append(added)
    await wait_ready_or_ended(added)
    await asyncio.sleep(fault.lasts_s)
    # It may have been killed and replaced meanwhile; then the fleet stays one larger until the next time.
    if added in world.workers:
        world.workers.remove(added)
        world.end(added, signal.SIGTERM)
        await added.wait_ended(15.0)
    return f"{added.name}, gone again"


async def _control_kill(world: World, fault: Fault) -> str:
    old = world.control
    world.end(old, signal.SIGKILL)
    await asyncio.sleep(fault.lasts_s)
    world.control = world.start_control()
    await wait_ready_or_ended(world.control)
    return f"{old.name}, now {world.control.name}"


async def _control_pause(world: World, fault: Fault) -> str:
    return await _pause(world.control, fault.lasts_s)


async def _pause(process: WorkerProcess, seconds: float) -> str:
    process.signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        process.signal(signal.SIGCONT)
    return process.name


def _provider(**settings: object) -> Doing:
    async def do(world: World, fault: Fault) -> str:
        provider = list(world.providers.values())[fault.target % len(world.providers)]
        await provider.set(**settings)
        try:
            await asyncio.sleep(fault.lasts_s)
        finally:
            await provider.set(
                **{name: "none" if name == "outage" else 0 for name in settings if name != "error_status"}
            )
        return provider.name

    return do


_DO: Final[Mapping[str, Doing]] = {
    "broker_kill": _broker_kill,
    "broker_pause": _broker_pause,
    "broker_restart": _broker_restart,
    "broker_moves": _broker_moves,
    "rolling_restart": _rolling_restart,
    "leaders_move": _leaders_move,
    "partitions_added": _partitions_added,
    "net_delay": _network("delay", 0.15, 0.1),
    "net_cut": _network("cut"),
    "net_half_open": _network("half_open"),
    "net_drip": _network("drip"),
    "net_no_answers": _network("no_answers"),
    "net_swizzle": _swizzle,
    "worker_kill": _worker_kill,
    "worker_term": _worker_term,
    "worker_pause": _worker_pause,
    "worker_added": _worker_added,
    "grantor_kill": _grantor_kill,
    "control_kill": _control_kill,
    "control_pause": _control_pause,
    "provider_errors": _provider(error_share=0.5, error_status=503),
    "provider_slow": _provider(slow_drip_share=0.5, drip_interval_ms=5),
    "provider_refuses": _provider(outage="refuse"),
    "provider_busy": _provider(rate_limited_share=0.5),
}
