"""Slots for calls: how many are taken, and which of them are kept for high."""

from __future__ import annotations

from topics.names import Priority


class Slots:
    """Calls under way. Of `size` slots, the share `high_share` is never taken by calls of other classes.

    What high takes beyond its share it takes from all: so that high always finds room quickly, and cannot shut out the
    others. At least one slot is open to everybody.
    """

    __slots__ = ("_high_share", "_open_to_all", "others", "size", "taken")

    def __init__(self, size: int, high_share: float) -> None:
        self._high_share = high_share
        self.taken = 0
        self.others = 0
        """Taken by calls that are not high."""
        self.resize(size)

    def resize(self, size: int) -> None:
        """From now on there are so many; calls beyond it are not ended."""
        self.size = size
        self._open_to_all = max(1, size - int(size * self._high_share))

    def has_room(self, priority: Priority) -> bool:
        return self.taken < self.size and (priority == "high" or self.others < self._open_to_all)

    def take(self, priority: Priority) -> None:
        self.taken += 1
        self.others += priority != "high"

    def give_back(self, priority: Priority) -> None:
        self.taken -= 1
        self.others -= priority != "high"
