"""What was seen lately."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

_REMEMBERED: Final = 10_000


class Seen:
    """Remembers the last 10,000 names.

    >>> seen = Seen()
    >>> seen.add("a"), seen.add("a")
    (True, False)
    """

    def __init__(self, most: int = _REMEMBERED) -> None:
        self._most = most
        self._names: OrderedDict[Hashable, None] = OrderedDict()

    def add(self, name: Hashable) -> bool:
        """Whether the name is new; it is not any more."""
        if name in self._names:
            self._names.move_to_end(name)
            return False
        self._names[name] = None
        if len(self._names) > self._most:
            self._names.popitem(last=False)
        return True
