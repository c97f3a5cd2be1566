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
    model: str = ""
    """Set for requests that wait apart from the others of the route, because their model alone gets no calls now."""

    def apart(self, model: str) -> Route:
        """Where the route's requests for one model wait, while that gets no calls."""
        return Route(self.provider, self.group, model)

    @property
    def whole(self) -> Route:
        return Route(self.provider, self.group) if self.model else self

    def __str__(self) -> str:
        return f"{self.provider}/{self.group}"
