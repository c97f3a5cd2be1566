"""Names of the contract's topics, with the prefix that a fleet may have (its setting `topics.prefix`)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

Priority = Literal["high", "normal", "low"]
"""A request's class; each has a topic of its own."""

PRIORITIES: Final[tuple[Priority, ...]] = ("high", "normal", "low")

_LEGAL = re.compile(r"[a-zA-Z0-9._-]{1,249}").fullmatch


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics that a client touches.

    >>> Topics("team-a.").requests("high")
    'team-a.agent.requests.high'
    """

    prefix: str = ""

    @property
    def responses(self) -> str:
        """The response topic that all callers share."""
        return f"{self.prefix}agent.responses"

    @property
    def deltas(self) -> str:
        """Pieces of answers on their way."""
        return f"{self.prefix}agent.deltas"

    @property
    def cancels(self) -> str:
        """Who does not want an answer any more."""
        return f"{self.prefix}agent.cancels"

    def requests(self, priority: Priority) -> str:
        """The request topic of a class. Raises ValueError for a class that there is not."""
        if priority not in PRIORITIES:
            raise ValueError(f"priority is {priority!r}, not one of {', '.join(PRIORITIES)}")
        return f"{self.prefix}agent.requests.{priority}"

    def check_reply_topic(self, name: str) -> None:
        """Raises ValueError for a name that the contract lets no answer go to."""
        wanted = f"{self.responses}."
        if name != self.responses and not (name.startswith(wanted) and len(name) > len(wanted)):
            raise ValueError(f"reply_topic is {name!r}; answers go to {self.responses} or to a topic {wanted}<name>")
        if not _LEGAL(name):
            raise ValueError(f"reply_topic is {name!r}, which Kafka takes for no topic name")
