"""One control process: the fleet's windows from the workers' samples, decisions from the windows, and who carries them out.

Several may run. The group gives the one partition of `metrics.samples` to one of them, and that one decides; the others read
what it writes, so that they can go on where it stopped. A Faust app of its own: a rebalance of the workers does not stop it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Final, Self

import structlog
from aiokafka.errors import KafkaError

from streams.actions.redriver import Redriver
from streams.app import producer_options
from streams.identity import process_id
from streams.kafka import closing
from streams.kafka.reconnect import make_producer
from streams.metrics import definitions as metrics
from streams.scaling.actuator import Actuator
from streams.scaling.decider import Decider
from streams.scaling.policy import Policy
from streams.scaling.realizers import ObserveRealizer, Realizer, RemoteRealizer, open_kubernetes
from streams.scaling.tail import ScalingTail
from streams.settings import Settings
from streams.windows.service import WindowService

log = structlog.get_logger("headrace.control")

_LOOK_S: Final = 2.0


def control_group(group_id: str) -> str:
    """The consumer group of the fleet's control processes: its rebalances are not the workers'."""
    return f"{group_id}-control"


class Control:
    """Runs between `async with` and its end."""

    def __init__(self, settings: Settings) -> None:
        self._settings = self._wanted = settings
        self._stack = AsyncExitStack()
        self._loops: list[asyncio.Task[None]] = []
        self._started = False
        self._windows: WindowService
        self.tail: ScalingTail

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        settings = self._settings
        policy = self._policy = Policy.of(settings)
        limits = settings.scaling.limits
        producer = make_producer(**producer_options(settings))
        self._stack.push_async_callback(closing.stop, producer)
        await producer.start()
        self.tail = await self._stack.enter_async_context(
            ScalingTail(
                settings.kafka.client_options(),
                settings.topics.names,
                windows_s=policy.reach_s + policy.stale_after_s,
                least=limits.min,
                most=limits.max,
            )
        )
        realizer = await self._open_realizer()
        self._windows = WindowService(settings, control_group(settings.kafka.group_id), producer)

        def owns() -> bool:
            return self.owns

        self._decider = decider = Decider(
            self.tail, producer, policy, process_id(), owns=owns, current=realizer.current, now=self._windows.clock.now
        )
        source = f"/headrace/{process_id()}"
        actuator = Actuator(self.tail, producer, realizer, source, acts=owns, now=self._windows.clock.now)
        await self._stack.enter_async_context(self._windows)
        redriver = Redriver(settings, owns)
        self._stack.push_async_callback(redriver.stop)
        await redriver.start()
        for loop in (decider.run(), actuator.run(), self._keep_current()):
            task = asyncio.create_task(loop)
            self._loops.append(task)
            self._stack.callback(task.cancel)
        self._started = True
        self._take_wanted()  # they may be others since the start began

    def prepare(self, settings: Settings) -> Callable[[], None]:
        """What takes over of these settings what a control can while it runs: when, and how far, the fleet grows and shrinks."""

        def take() -> None:
            self._wanted = settings
            if self._started:
                self._take_wanted()

        return take

    def _take_wanted(self) -> None:
        """Windows and partitions stay those of the start."""
        limits = self._wanted.scaling.limits
        most = min(limits.max, self._settings.topics.partitions)
        policy = replace(Policy.of(self._wanted), window_s=self._policy.window_s, largest=most)
        if policy != self._policy:
            self._policy = policy
            self.tail.change(windows_s=policy.reach_s + policy.stale_after_s, least=limits.min, most=limits.max)
            self._decider.change_policy(policy)

    async def _open_realizer(self) -> Realizer:
        scaling = self._settings.scaling
        if scaling.realizer == "kubernetes":
            realizer = await self._stack.enter_async_context(open_kubernetes(scaling.kubernetes))
            await realizer.insist_on_being_alone()
            return realizer
        if scaling.realizer == "observe":
            return ObserveRealizer(lambda: self.tail.windows[-1].workers if self.tail.windows else None)
        return RemoteRealizer(scaling.realizer)

    async def _keep_current(self) -> None:
        """Know at any time what the newest decision is, also while another process decides."""
        while True:
            try:
                await self.tail.catch_up()
            except (KafkaError, TimeoutError) as error:
                log.warning("the scaling topics cannot be read now, trying again", error=repr(error))
            newest = self.tail.decisions.newest
            if newest is not None:
                metrics.SCALING_EPOCH.set(newest.epoch)
                metrics.SCALING_WANTED.set(newest.workers_wanted)
            await asyncio.sleep(_LOOK_S)

    @property
    def owns(self) -> bool:
        """Whether this process owns the samples and decides."""
        return self._windows.owns

    @property
    def ready(self) -> bool:
        """Whether it is a member of the group: it decides, or stands by."""
        return self._started and self._windows.ready

    async def wait_ready(self) -> None:
        """Raises GroupRefusedError where the group takes this process not at all."""
        await self._windows.wait_ready()

    async def wait_stopped(self) -> None:
        """Returns when it has stopped by itself; raises what crashed it."""
        tasks = [asyncio.create_task(self._windows.wait_stopped()), *self._loops]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            tasks[0].cancel()
        for task in tasks:
            if task.done():
                task.result()
