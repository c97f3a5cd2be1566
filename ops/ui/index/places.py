"""The places of a fleet's requests: which number stands for which topic. Pure.

A place holds a tenant's number, not its name. Numbers are given once and kept by the index, so that a tenant that is taken out of
the settings, or comes back, does not change whose the rows are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ops.ui.index.row import MOST_TENANTS, place_of, tenant_number_of
from topics.names import PRIORITIES, TopicNames

_PLACE: Final = re.compile(r"([^:\s]{1,249}):([0-9]{1,5}):([0-9]{1,15})", re.ASCII).fullmatch


class Places:
    """`known`: names of tenants by number, from 1 on, as they were given before. What is new in the settings is numbered behind
    them; more than 255 are not in the index.
    """

    def __init__(self, names: TopicNames, known: Sequence[str] = ()) -> None:
        self.names = names
        self.tenants = [*known, *(name for name in names.tenants if name not in known)][:MOST_TENANTS]
        self._of_topic = {
            topic: (PRIORITIES.index(said.priority), self.number_of(said.tenant))
            for topic, said in names.request_topics.items()
            if not said.tenant or said.tenant in self.tenants
        }

    def number_of(self, tenant: str) -> int:
        """ValueError for a tenant that is not in the index."""
        return self.tenants.index(tenant) + 1 if tenant else 0

    def tenant_of(self, place: int) -> str:
        number = tenant_number_of(place)
        return self.tenants[number - 1] if 0 < number <= len(self.tenants) else ""

    def place(self, topic: str, partition: int, offset: int) -> int:
        """ValueError where it is of no request topic of this fleet, or does not fit."""
        found = self._of_topic.get(topic)
        if found is None:
            raise ValueError(f"{topic} is no request topic")
        return place_of(found[0], partition, offset, found[1])

    def read(self, text: str) -> int | None:
        """The place that `topic:partition:offset` names; None where it names no record of a request topic.

        >>> from topics.names import V1
        >>> Places(V1).read("agent.requests.high:0:7"), Places(V1).read("other:0:7")
        (7, None)
        """
        found = _PLACE(text)
        if found is None or found[1] not in self._of_topic:
            return None
        try:
            return self.place(found[1], int(found[2]), int(found[3]))
        except ValueError:
            return None
