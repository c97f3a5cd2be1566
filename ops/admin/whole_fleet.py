"""The fleet as its own topics tell of it, read once: who its workers are, and where each may be asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from ops.admin.ask_workers import Asked, ask_all
from ops.processes.ui import fleet_view
from ops.ui.fleet import FleetView, starts
from ops.ui.fleet_reader import FleetReader
from streams.errors import HeadraceError
from streams.kafka import provision
from streams.settings import Settings
from topics.access import READ

Said = TypeVar("Said")

WITHIN_S: Final = 10.0


class FleetUnseenError(HeadraceError):
    """Why nothing can be said of the fleet: one line."""


async def see_fleet(settings: Settings, within_s: float = WITHIN_S) -> FleetView:
    """Read samples, windows, decisions and leases to their ends.

    Raises FleetUnseenError where that takes longer, or where an ACL is missing: a topic that may not be read looks as if nobody
    wrote to it; BrokerUnreachableError, WrongClusterError.
    """
    view = fleet_view(settings)
    options = await provision.usable(settings.kafka.client_options())
    denied = await provision.denied_topics(options, {topic: READ for topic, _ in starts(settings.topics.names)})
    if denied:
        raise FleetUnseenError(f"the fleet's topics cannot be read: {'; '.join(denied)}")
    reader = FleetReader(options, view)
    reader.start()
    try:
        async with asyncio.timeout(within_s):
            await reader.caught_up.wait()
    except TimeoutError:
        why = reader.problem or "there is more of it than could be read in that time"
        raise FleetUnseenError(
            f"the fleet's topics could not be read within {within_s:.0f} s: {why}; `headrace topics check` says what is missing"
        ) from None
    finally:
        await reader.stop()
    return view


async def ask_fleet(settings: Settings, look: Callable[[str], Awaitable[Said]]) -> list[Asked[Said]]:
    """What every worker of the fleet says, each asked where its samples say. Raises FleetUnseenError where there is no worker."""
    view = await see_fleet(settings)
    seen = [each.sample for each in view.workers(time.time())]
    if not seen:
        raise FleetUnseenError(
            "no worker has sent a sample of late: does one run, with these brokers and this topics.prefix? One that has just "
            f"started sends its first after {settings.metrics.interval:g} s; --worker HOST:PORT asks one by its address"
        )
    return await ask_all(seen, look)
