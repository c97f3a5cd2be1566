"""Which answer belongs to which request. Pure: no clock, no I/O.

A request_id is a claim: whoever may write to a request topic can send one with another's request_id, agent_id and reply
topic, and the fleet answers it. So an answer is believed by its event id, the place of the request's own record on the log,
which the broker's ack tells us and which the fleet writes into the answer. Nobody else's request has it.

An answer may be read before the ack is (a cache hit takes 2 ms). So what comes for an agent with an unacked request is kept
until the acks are in: bounded, the oldest go first.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import Final

RequestKey = tuple[str, str]
"""(agent_id, request_id)."""

_REMEMBERED: Final = 10_000
_MOST_EVENTS: Final = 8


@dataclass(slots=True, eq=False)
class Waiting:
    """A request whose answer is waited for; made by `Matcher.expect`."""

    key: RequestKey
    digest: bytes
    event_ids: set[str] = field(default_factory=set)
    """Records of this request, earlier ones under the same request_id too: whichever is answered first counts."""
    unacked: bool = True


@dataclass(frozen=True, slots=True)
class _Early:
    agent_id: str
    value: bytes


class Matcher:
    """Waiting requests and early answers.

    The life of one: `expect`; `acked`, which returns the answer if that came first; `offer`, which returns the request
    for its answer; `forget`, when it was answered or nobody waits any more.

    Args:
        early_count, early_bytes: bounds of what is kept before acks. 2 answers for each request in flight is plenty.
    """

    def __init__(self, early_count: int = 2048, early_bytes: int = 64 * 2**20) -> None:
        self._early_count = early_count
        self._early_bytes = early_bytes
        self._by_key: dict[RequestKey, Waiting] = {}
        self._by_event: dict[str, Waiting] = {}
        self._unacked: Counter[str] = Counter()
        self._early: OrderedDict[str, _Early] = OrderedDict()
        self._held_bytes = 0
        self._published: OrderedDict[RequestKey, tuple[bytes, tuple[str, ...]]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_key)

    @property
    def held_bytes(self) -> int:
        """Bytes of answers that wait for an ack."""
        return self._held_bytes

    def expect(self, key: RequestKey, digest: bytes) -> Waiting:
        """Note a request before it is published. Its earlier records count too, if their content was the same."""
        if key in self._by_key:
            raise ValueError(f"request {key[1]} of agent {key[0]} is waited for already")
        waiting = self._by_key[key] = Waiting(key, digest)
        self._unacked[key[0]] += 1
        earlier = self._published.get(key)
        if earlier is not None and earlier[0] == digest:
            for event_id in earlier[1]:
                self._listen(waiting, event_id)
        return waiting

    def acked(self, waiting: Waiting, event_id: str) -> bytes | None:
        """The broker has the record. Returns the value of its answer if that came before."""
        self._end_unacked(waiting)
        early = None
        if self._by_key.get(waiting.key) is waiting:
            self._listen(waiting, event_id)
            early = self._early.get(event_id)
        found = early.value if early is not None and early.agent_id == waiting.key[0] else None
        self._tidy()
        return found

    def remember(self, key: RequestKey, digest: bytes, event_id: str) -> None:
        """Note a record of our own, so that a later wait for the same request takes its answer too."""
        _, earlier = self._published.pop(key, (b"", ()))
        self._published[key] = (digest, (*earlier, event_id)[-_MOST_EVENTS:])
        while len(self._published) > _REMEMBERED:
            self._published.popitem(last=False)

    def offer(self, event_id: str, agent_id: str, value: bytes) -> Waiting | None:
        """An answer was read. Returns who waits for it; None if nobody does, or it is not known yet.

        `agent_id` is the record's key: the fleet writes answers under the agent of their request.
        """
        waiting = self._by_event.get(event_id)
        if waiting is not None:
            return waiting if waiting.key[0] == agent_id else None
        if self._unacked[agent_id] > 0:
            self._drop_early(event_id)
            self._early[event_id] = _Early(agent_id, value)
            self._held_bytes += len(value)
            while len(self._early) > self._early_count or self._held_bytes > self._early_bytes:
                self._drop_early(next(iter(self._early)))
        return None

    def forget(self, waiting: Waiting) -> None:
        """Nobody waits any more, or the broker did not take it; fine to say twice."""
        self._end_unacked(waiting)
        if self._by_key.get(waiting.key) is waiting:
            del self._by_key[waiting.key]
        for event_id in waiting.event_ids:
            if self._by_event.get(event_id) is waiting:
                del self._by_event[event_id]
        waiting.event_ids.clear()
        self._tidy()

    def event_ids_of(self, key: RequestKey) -> tuple[str, ...]:
        """Records of our own for this request, as far as remembered (10,000 requests)."""
        return self._published.get(key, (b"", ()))[1]

    def _listen(self, waiting: Waiting, event_id: str) -> None:
        waiting.event_ids.add(event_id)
        self._by_event[event_id] = waiting

    def _end_unacked(self, waiting: Waiting) -> None:
        if waiting.unacked:
            waiting.unacked = False
            agent_id = waiting.key[0]
            self._unacked[agent_id] -= 1
            if not self._unacked[agent_id]:
                del self._unacked[agent_id]

    def _tidy(self) -> None:
        """Answers are kept only while an ack is awaited."""
        if not self._unacked and self._early:
            self._early.clear()
            self._held_bytes = 0

    def _drop_early(self, event_id: str) -> None:
        early = self._early.pop(event_id, None)
        if early is not None:
            self._held_bytes -= len(early.value)
