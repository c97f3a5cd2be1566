"""What an ack finishes, where it is more than one record's one message."""

from __future__ import annotations

from collections.abc import Callable

from streams.pipeline import Source


class Paid:
    """A receipt that hurries the commit: what it finishes was paid for."""

    __slots__ = ("_on_paid", "_source")

    def __init__(self, source: Source, on_paid: Callable[[], None]) -> None:
        self._source = source
        self._on_paid = on_paid

    @property
    def live(self) -> bool:
        return self._source.live

    def finish(self, start: int, stop: int | None = None) -> None:
        self._source.finish(start, stop)
        self._on_paid()

    def stuck(self, is_stuck: bool) -> None:
        self._source.stuck(is_stuck)


class Both:
    """A receipt for two messages about one record: the second one to arrive finishes it."""

    __slots__ = ("_index", "_left", "_source")

    def __init__(self, source: Source, index: int) -> None:
        self._source = source
        self._index = index
        self._left = 2

    @property
    def live(self) -> bool:
        return self._source.live

    def finish(self, start: int, stop: int | None = None) -> None:
        self._left -= 1
        if not self._left:
            self._source.finish(self._index)

    def stuck(self, is_stuck: bool) -> None:
        self._source.stuck(is_stuck)
