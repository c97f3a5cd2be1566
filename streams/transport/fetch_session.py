"""Fetch sessions (KIP-227): the broker remembers what a consumer reads, and is told only what has changed.

Without one every fetch names every partition, and so does its answer, whatever they hold; 36 of them for the few records that a
fetch brings where records trickle in (docs/decisions/0012-paced-fetches.md). aiokafka speaks this version of the protocol but
opens no sessions; `SessionClient` does, between its fetcher and its client.

How a session goes: the first fetch has epoch 0 and names everything; the broker answers with the session's id. Each next one has
the next epoch and names the partitions whose offset is another one than the broker has, and those to forget. What was lost on the
way, or a broker that knows no such session, begins with epoch 0 again. A broker that wants no session answers with id 0.

Source: https://cwiki.apache.org/confluence/display/KAFKA/KIP-227
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from aiokafka.protocol.fetch import FetchRequest

T = TypeVar("T")

Partition = tuple[str, int]
Wanted = tuple[int, int]
"""Offset, and most bytes."""
Topics = Sequence[tuple[str, Sequence[tuple[int, int, int]]]]
"""By topic: partition, offset, most bytes."""

_SESSION_NOT_FOUND: Final = 70
_LAST_EPOCH: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Told:
    """What one fetch tells the broker."""

    session_id: int
    epoch: int
    named: Topics
    forgotten: Sequence[tuple[str, Sequence[int]]]


@dataclass(slots=True)
class FetchSession:
    """One broker's session, as the consumer knows it. Pure: call `ask` before each fetch, then `answered` or `lost`."""

    id: int = 0
    epoch: int = 0
    _told: dict[Partition, Wanted] = field(default_factory=dict)
    """What the broker knows of the session's partitions."""

    def ask(self, topics: Topics) -> Told:
        """How to ask for just these partitions."""
        before = self._told if self.epoch else {}
        self._told = {(topic, number): (offset, size) for topic, wanted in topics for number, offset, size in wanted}
        if not before:
            return Told(self.id, self.epoch, topics, ())
        changed = ((at[0], (at[1], *wanted)) for at, wanted in self._told.items() if before.get(at) != wanted)
        gone = (at for at in before if at not in self._told)
        return Told(self.id, self.epoch, _by_topic(changed), _by_topic(gone))

    def answered(self, error_code: int, session_id: int) -> None:
        """The broker has answered, as a whole with this error (0: none)."""
        if error_code or not session_id:
            self.id, self.epoch = (0 if error_code in (0, _SESSION_NOT_FOUND) else self.id), 0
        else:
            self.id, self.epoch = session_id, self.epoch % _LAST_EPOCH + 1

    def lost(self) -> None:
        """There was no answer. Whether the broker got the fetch is not known, so the next one begins another session."""
        self.epoch = 0


class SessionClient:
    """aiokafka's client as its fetcher sees it, with fetches in sessions. Brokers before Kafka 1.1 get them as they were."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.cluster = client.cluster
        self._sessions: dict[int, FetchSession] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def send(self, node_id: int, request: Any, **options: Any) -> Any:
        """As the client's own. There is one fetch at a time for a node."""
        if type(request) is not FetchRequest:
            return await self._client.send(node_id, request, **options)
        session = self._sessions.get(node_id)
        if session is None:
            session = self._sessions[node_id] = FetchSession()
        asked = session.ask(request.topics)
        try:
            response = await self._client.send(node_id, _SessionRequest(request, asked), **options)
        except BaseException:  # cancelled ones too: the fetch may be on its way
            session.lost()
            raise
        if response.API_VERSION >= 7:
            session.answered(response.error_code, response.session_id)
        else:
            session.lost()
        return response


class _SessionRequest(FetchRequest):  # type: ignore[misc]
    """A fetch request that is written as its session wants it, where the broker knows sessions."""

    def __init__(self, whole: FetchRequest, asked: Told) -> None:
        self.__dict__.update(whole.__dict__)
        self._asked = asked

    def build(self, request_struct_class: Any) -> Any:
        if request_struct_class.API_VERSION < 7:
            return super().build(request_struct_class)
        self._topics = self._asked.named
        made = super().build(request_struct_class)
        made.session_id, made.session_epoch = self._asked.session_id, self._asked.epoch
        made.forgotten_topics_data = self._asked.forgotten
        return made


def _by_topic(pairs: Iterable[tuple[str, T]]) -> list[tuple[str, list[T]]]:
    topics: dict[str, list[T]] = {}
    for topic, what in pairs:
        topics.setdefault(topic, []).append(what)
    return list(topics.items())
