"""The fleet followed, and drawn every 2 s: topics are read as they grow, workers are asked for each picture."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from ops.admin import agents, providers
from ops.admin.ask_workers import ask_all
from ops.admin.whole_fleet import WITHIN_S, FleetUnseenError
from ops.processes.ui import fleet_view
from ops.top.keys import Keys, Looking
from ops.top.lines import body_of, screen
from ops.top.picture import Picture, picture_of
from ops.top.terminal import Terminal
from ops.ui.fleet_reader import FleetReader
from streams.actions.audit import AdminView
from streams.actions.reader import AdminReader
from streams.kafka import provision
from streams.settings import Settings

EVERY_S: Final = 2.0
_ORDERS_WITHIN_S: Final = 2.0


class FleetWatch:
    """A fleet that is followed; made by `following`."""

    def __init__(self, reader: FleetReader, admin: AdminView) -> None:
        self._reader = reader
        self._admin = admin

    @property
    def problem(self) -> str | None:
        """Why the topics are not read now."""
        return self._reader.problem

    async def look(self) -> Picture:
        """How it is now. Raises nothing: what cannot be asked is not known."""
        view, now = self._reader.view, time.time()
        samples = [each.sample for each in view.workers(now)]
        flows, endpoints = await asyncio.gather(ask_all(samples, agents.look), ask_all(samples, providers.look))
        return picture_of(view, flows, endpoints, self._admin.orders.paused, time.time(), self.problem)


@asynccontextmanager
async def following(settings: Settings) -> AsyncIterator[FleetWatch]:
    """A fleet whose topics were read to their ends.

    Raises ProvisionError where no broker answers, FleetUnseenError where it takes too long.
    """
    options, names = settings.kafka.client_options(), settings.topics.names
    await provision.check(options, ())  # a broker that does not answer is told at once, in one line
    reader = FleetReader(options, fleet_view(settings))
    admin = AdminView()
    actions = AdminReader(options, names.admin, admin.note, committed=True, on_anew=admin.clear)
    reader.start()
    actions.begin()
    try:
        try:
            async with asyncio.timeout(WITHIN_S):
                await reader.caught_up.wait()
        except TimeoutError:
            why = reader.problem or f"nothing came in {WITHIN_S:.0f} s"
            raise FleetUnseenError(f"the fleet's topics cannot be read: {why}; see `headrace topics check`") from None
        with suppress(TimeoutError):  # who may not read it sees the rest
            async with asyncio.timeout(_ORDERS_WITHIN_S):
                await actions.caught_up.wait()
        yield FleetWatch(reader, admin)
    finally:
        await asyncio.gather(reader.stop(), actions.stop())


async def once(settings: Settings) -> Picture:
    """How the fleet is now."""
    async with following(settings) as fleet:
        return await fleet.look()


async def watch(settings: Settings, every_s: float = EVERY_S) -> None:
    """Draw until q, Ctrl-C, SIGTERM or the end of the terminal, and give the terminal back."""
    async with following(settings) as fleet:
        picture = await fleet.look()
        with Terminal() as terminal:
            await _Screen(fleet, terminal, picture).run(every_s)


class _Screen:
    def __init__(self, fleet: FleetWatch, terminal: Terminal, picture: Picture) -> None:
        self._fleet = fleet
        self._terminal = terminal
        self._picture = picture
        self._looking = Looking()
        self._keys = Keys()
        self._until = asyncio.timeout(None)

    async def run(self, every_s: float) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._terminal.input, self._typed)
        loop.add_signal_handler(signal.SIGWINCH, self._draw)
        loop.add_signal_handler(signal.SIGTSTP, self._terminal.stand_aside, self._draw)
        try:
            async with self._until:
                self._draw()
                while True:
                    await asyncio.sleep(every_s)
                    if not self._looking.paused:
                        self._picture = await self._fleet.look()
                        self._draw()
        except TimeoutError:
            if not self._until.expired():
                raise
        finally:
            loop.remove_reader(self._terminal.input)
            loop.remove_signal_handler(signal.SIGWINCH)
            loop.remove_signal_handler(signal.SIGTSTP)

    def _end(self) -> None:
        """At once, whatever is asked of workers just now."""
        self._until.reschedule(asyncio.get_running_loop().time())

    def _typed(self) -> None:
        typed = self._terminal.read()
        if not typed:  # a terminal that has gone is always ready to be read
            self._end()
            return
        columns, rows = self._terminal.size
        for key in self._keys.feed(typed):
            lines = len(body_of(self._picture, self._looking, columns))
            self._looking = self._looking.after(key, max(1, rows - 3), lines)
        if self._looking.quit:
            self._end()
        else:
            self._draw()

    def _draw(self) -> None:
        columns, rows = self._terminal.size
        lines, self._looking = screen(self._picture, self._looking, columns, rows, self._fleet.problem)
        try:
            self._terminal.draw(lines)
        except OSError:
            self._end()
