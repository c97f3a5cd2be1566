"""Which streams' deltas leave together: some groups in turn, each once a beat. Pure but for the futures that it resolves.

What leaves at one moment is work for worker, broker and front at one moment, and what comes meanwhile, such as a first
token, waits for it. So many streams are in groups, and one group after the other leaves; few are in one, because each
departure has a cost of its own. What was measured: docs/decisions/0064-how-often-deltas-leave.md.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Final, Protocol

_STREAMS: Final = 25
"""Of one group, before there is another."""
MOST: Final = 2
"""Four and eight told tokens no sooner: each departure is a produce request and a fetch besides."""


class Member(Protocol):
    """A stream. `group`: with which its deltas leave, while some wait or its reader rests; groups alone set it."""

    group: Group | None

    def leave(self) -> None: ...


@dataclass(eq=False, slots=True)
class Group:
    """Streams that leave together."""

    members: set[Member] = field(default_factory=set)
    resting: list[asyncio.Future[None]] = field(default_factory=list)
    """Readers that read on when it is to leave."""
    is_leaving: bool = False

    def wake(self) -> bool:
        """It is time to leave: let its readers read on before; whether there are some. What they bring leaves with it."""
        self.is_leaving = True
        resting, self.resting = self.resting, []
        for rest in resting:
            if not rest.done():
                rest.set_result(None)
        return bool(resting)

    def leave(self) -> None:
        """Who has joined another group meanwhile, to rest again, leaves with both."""
        for member in self.members:
            if member.group is self:
                member.group = None
            member.leave()


class Groups:
    """The groups in the order in which they leave."""

    def __init__(self) -> None:
        self._groups = deque([Group()])

    @property
    def count(self) -> int:
        return len(self._groups)

    @property
    def is_empty(self) -> bool:
        return not any(group.members for group in self._groups)

    def join(self, member: Member) -> Group:
        """The group that it leaves with: the last one, unless it is in one."""
        if member.group is None or member.group.is_leaving:
            member.group = self._groups[-1]
            member.group.members.add(member)
        return member.group

    def next(self) -> Group:
        """The one that leaves now. Another takes its place at the end, and their number follows that of the streams."""
        streams = sum(len(group.members) for group in self._groups)
        group = self._groups.popleft()
        wanted = min(MOST, max(1, streams // _STREAMS))
        while len(self._groups) >= wanted:
            self._merge(self._groups.popleft(), group)
        while len(self._groups) < wanted:
            self._groups.append(Group())
        return group

    def _merge(self, group: Group, into: Group) -> None:
        for member in group.members:
            if member.group is group:
                member.group = into
        into.members |= group.members
        into.resting += group.resting

    def all(self) -> list[Group]:
        return list(self._groups)
