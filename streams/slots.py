"""Slots: the right to one call under way each, at a worker, a provider or a host; a share of them is kept for high. Pure."""

from __future__ import annotations

from topics.names import Priority


class Slots:
    """`size` slots, of which the share `high_share`, rounded down, is never taken by calls of other classes than high.

    What high takes beyond its share it takes from all: so high always finds a free slot soon, and a flood of it does not shut the
    others out. At least one slot is open to every class.
    """

    __slots__ = ("__weakref__", "_high_share", "_open_to_all", "others", "size", "taken")

    def __init__(self, size: int, high_share: float = 0.0) -> None:
        self._high_share = high_share
        self.taken = 0
        self.others = 0
        """Taken by calls that are not high."""
        self.resize(size)

    def resize(self, size: int) -> None:
        """Change the number of slots. Calls beyond it are not ended."""
        self.size = size
        self._open_to_all = max(1, size - int(size * self._high_share))

    def has_room(self, priority: Priority) -> bool:
        """Whether a call of the class could have a slot now."""
        return self.taken < self.size and (priority == "high" or self.others < self._open_to_all)

    def free(self, priority: Priority) -> int:
        """Slots that calls of the class could have now."""
        free = self.size - self.taken
        return max(0, free if priority == "high" else min(free, self._open_to_all - self.others))

    def take(self, priority: Priority) -> None:
        self.taken += 1
        self.others += priority != "high"

    def give_back(self, priority: Priority) -> None:
        self.taken -= 1
        self.others -= priority != "high"
