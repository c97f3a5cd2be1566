"""Bytes of one provider's bodies in a worker. Pure.

`peak` bounds them all. Of it `buffer` is kept for answers that are being read, so that requests can never fill what their own
answers need; the rest is for the bodies of requests under way, and a request that does not fit waits in its queue.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Bodies:
    """Bytes of requests under way."""

    most: int
    held: int = 0

    def fits(self, size: int) -> bool:
        """Whether a body fits now. One larger than everything fits where there is no other."""
        return self.held + size <= self.most or not self.held

    def take(self, size: int) -> None:
        self.held += size

    def give_back(self, size: int) -> None:
        self.held -= size


@dataclass(slots=True)
class ReadBuffers:
    """Bytes of answers that are being read, at most `most`.

    A reader takes room before it reads on, and waits if there is none. If all readers waited for each other, none
    would ever end, so the oldest one is never made to wait: for it `largest`, the most bytes that one answer may have, is kept
    free. (A `most` below twice that lets one answer at a time be read beyond the first bytes.)
    """

    most: int
    largest: int
    held: int = 0
    peak: int = 0
    _readers: dict[int, int] = field(default_factory=dict)
    """Bytes by reader, the oldest first."""
    _waiting: deque[tuple[int, int, Callable[[], None]]] = field(default_factory=deque)
    _number: int = 0

    def open(self) -> int:
        """A reader for one answer; give it back with `close`."""
        self._number += 1
        self._readers[self._number] = 0
        return self._number

    def take(self, reader: int, size: int) -> bool:
        """Take room for `size` bytes, if there is some now."""
        if not self._fits(reader, size):
            return False
        self._take(reader, size)
        return True

    def wait(self, reader: int, size: int, on_room: Callable[[], None]) -> None:
        """Have `on_room` called once room for `size` bytes was taken."""
        self._waiting.append((reader, size, on_room))

    def read(self, reader: int, asked: int, size: int) -> None:
        """Of the room that was asked for, `size` bytes were used."""
        self._take(reader, size - asked)
        self._offer()

    def close(self, reader: int) -> None:
        """The answer is whole or given up: its bytes are somebody else's now."""
        self.held -= self._readers.pop(reader)
        if self._waiting:
            self._waiting = deque(each for each in self._waiting if each[0] != reader)
            self._offer()

    def _take(self, reader: int, size: int) -> None:
        self._readers[reader] += size
        self.held += size
        self.peak = max(self.peak, self.held)

    def _fits(self, reader: int, size: int) -> bool:
        oldest = next(iter(self._readers)) == reader
        return self.held + size <= (self.most if oldest else self.most - self.largest) or oldest

    def _offer(self) -> None:
        while self._waiting:
            oldest = next(iter(self._readers))
            place = next((at for at, each in enumerate(self._waiting) if each[0] == oldest), 0)
            reader, size, on_room = self._waiting[place]
            if not self._fits(reader, size):
                return
            del self._waiting[place]
            self._take(reader, size)
            on_room()
