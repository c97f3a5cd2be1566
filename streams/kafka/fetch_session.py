"""Fetch sessions (KIP-227): the broker remembers what a consumer reads, and is told only what has changed.

Without one every fetch names every partition, and so does its answer, whatever they hold; 36 of them for the few records that a
fetch brings where records trickle in (docs/decisions/0012-paced-fetches.md). aiokafka speaks this version of the protocol but
opens no sessions; `SessionRequest` writes its fetches into one.

How a session goes: the first fetch has epoch 0 and names everything; the broker answers with the session's id. Each next one has
the next epoch and names the partitions whose offset is another one than the broker has, and those to forget. What was lost on the
way, or a broker that knows no such session, begins with epoch 0 again. A broker that wants no session answers with id 0.

Source: https://cwiki.apache.org/confluence/display/KAFKA/KIP-227
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka.protocol.fetch import FetchRequest

Partition = tuple[str, int]
Offsets = Mapping[Partition, int]
"""Where to read on, by partition."""

_SESSION_NOT_FOUND: Final = 70
_LAST_EPOCH: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Told:
    """What one fetch tells the broker."""

    session_id: int
    epoch: int
    named: Offsets
    forgotten: Sequence[Partition]


@dataclass(slots=True)
class FetchSession:
    """One broker's session, as the consumer knows it. Pure: call `ask` before each fetch, then `answered` or `lost`."""

    id: int = 0
    epoch: int = 0
    _told: Offsets = field(default_factory=dict)
    """What the broker knows of the session's partitions."""

    def ask(self, wanted: Offsets) -> Told:
        """How to ask for just these partitions. They are kept: change none of it."""
        before = self._told if self.epoch else {}
        self._told = wanted
        if not before:
            return Told(self.id, self.epoch, wanted, ())
        changed = {partition: offset for partition, offset in wanted.items() if before.get(partition) != offset}
        gone = [partition for partition in before if partition not in wanted]
        return Told(self.id, self.epoch, changed, gone)

    def answered(self, error_code: int, session_id: int) -> None:
        """The broker has answered, as a whole with this error (0: none)."""
        if error_code or not session_id:
            self.id, self.epoch = (0 if error_code in (0, _SESSION_NOT_FOUND) else self.id), 0
        else:
            self.id, self.epoch = session_id, self.epoch % _LAST_EPOCH + 1

    def lost(self) -> None:
        """There was no answer. Whether the broker got the fetch is not known, so the next one begins another session."""
        self.epoch = 0


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What is the same in all fetches of a consumer."""

    min_bytes: int
    max_bytes: int
    partition_bytes: int
    isolation_level: int


class SessionRequest(FetchRequest):  # type: ignore[misc]
    """A fetch that is written as its session wants it; for brokers before Kafka 1.1, which know none, whole."""

    def __init__(self, wanted: Offsets, told: Told, max_wait_ms: int, limits: FetchLimits) -> None:
        super().__init__(max_wait_ms, limits.min_bytes, limits.max_bytes, limits.isolation_level, [])
        self._wanted = wanted
        self._told = told
        self._partition_bytes = limits.partition_bytes

    def build(self, request_struct_class: Any) -> Any:
        has_session = request_struct_class.API_VERSION >= 7
        named: dict[str, list[tuple[int, int, int]]] = {}
        for (topic, number), offset in (self._told.named if has_session else self._wanted).items():
            named.setdefault(topic, []).append((number, offset, self._partition_bytes))
        self._topics = list(named.items())
        made = super().build(request_struct_class)
        if has_session:
            forgotten: dict[str, list[int]] = {}
            for topic, number in self._told.forgotten:
                forgotten.setdefault(topic, []).append(number)
            made.session_id, made.session_epoch = self._told.session_id, self._told.epoch
            made.forgotten_topics_data = list(forgotten.items())
        return made


class SessionFetches:
    """Fetches by a client, each in its broker's session."""

    def __init__(self, client: Any, limits: FetchLimits) -> None:
        self._client = client
        self._limits = limits
        self._sessions: dict[int, FetchSession] = {}

    async def fetch(self, node_id: int, wanted: Offsets, max_wait_ms: int) -> Any:
        """The answer to a fetch of these partitions; it names those that have something, or something new to tell. One fetch at
        a time for a broker. Raises what the client raises.
        """
        session = self._sessions.get(node_id)
        if session is None:
            session = self._sessions[node_id] = FetchSession()
        request = SessionRequest(wanted, session.ask(wanted), max_wait_ms, self._limits)
        try:
            response = await self._client.send(node_id, request)
        except BaseException:  # cancelled ones too: the fetch may be on its way
            session.lost()
            raise
        if response.API_VERSION >= 7:
            session.answered(response.error_code, response.session_id)
        else:
            session.lost()
        return response
