"""What has limits of its own: a provider, and one of its groups of models."""

from __future__ import annotations

from typing import NamedTuple


class Route(NamedTuple):
    """A provider and one of its model groups, an entry of its `models`. Requests of one route wait for the same things.

    >>> str(Route("main", "gpt-*"))
    'main/gpt-*'
    """

    provider: str
    group: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.group}"
