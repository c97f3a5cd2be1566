"""Partitions whose last owner may come back in a moment.

A broker that stood still for longer than the session timeout drops all members of a group when it goes on. They learn it from the
heartbeats that were under way, and join again. Whoever is first is given everything, and learns only with its next heartbeat that
the others are back: what it begins of theirs until then is answered twice. So it begins nothing of that, and does not claim it
in the next assignment.

Brokers wait 3 s for company by default (`group.initial.rebalance.delay.ms`), many are set to 0.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Final

from aiokafka.structs import TopicPartition

_HEARTBEATS: Final = 3
_MOST_S: Final = 5.0
_REASON: Final = "its last owner may come back"


def wait_s(heartbeat_s: float) -> float:
    """How long an owner has: its way back, and one heartbeat of ours to hear of it."""
    return min(_MOST_S, _HEARTBEATS * heartbeat_s)


class OwnersReturn:
    """Holds what was gained when everybody was dropped. `hold` and `release` pause a partition and let it go on."""

    def __init__(
        self, hold: Callable[[TopicPartition, str], None], release: Callable[[TopicPartition, str], None]
    ) -> None:
        self._hold = hold
        self._release = release
        self._timer: asyncio.TimerHandle | None = None
        self.partitions: frozenset[TopicPartition] = frozenset()
        """Those that are held now."""

    def begin(self, gained: Collection[TopicPartition], for_s: float) -> None:
        """Hold these, and those that are held already, for so long."""
        self.partitions |= frozenset(gained)
        for partition in self.partitions:
            self._hold(partition, _REASON)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(for_s, self._over)

    def keep(self, assigned: Collection[TopicPartition]) -> None:
        """A new assignment: what is not in it is no longer ours to hold."""
        for partition in self.partitions - frozenset(assigned):
            self._release(partition, _REASON)
        self.partitions &= frozenset(assigned)

    def _over(self) -> None:
        self.keep(())
