"""A consumer's place in its group: generation, heartbeats, and what the group says where it refuses.

aiokafka's coordinator stops at such a refusal until somebody reads it, and says nothing. `watch` reads it, waits and joins anew:
before the first assignment a refusal that lasts ends the start, with one line; later it is waited out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Set
from typing import Any, Final, Protocol

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams.backoff import equal_jitter_s
from streams.errors import HeadraceError
from streams.heartbeat import Heartbeat
from streams.kafka.group_offsets import GroupOffsets
from streams.kafka.repeats import Repeats
from topics.broker_errors import code_of, explain_error, name_of

log = structlog.get_logger("headrace.transport")

START_PATIENCE_S: Final = 3.0
"""Before the first assignment: a member that leaves makes room in this time, and an ACL that was just written arrives."""
_LOOK_S: Final = 0.1
_FIRST_RETRY_S, _LAST_RETRY_S = 0.5, 5.0

_REMEDIES: Final = {
    30: "its user needs Read on that group",
    23: "it has members of another kind; kafka.group_id must be a name of this fleet alone",
    81: "it is full: raise group.max.size on the brokers, or run fewer workers",
    26: "kafka.session_timeout is outside the brokers' group.min.session.timeout.ms and group.max.session.timeout.ms",
    24: "kafka.group_id is no name that the brokers take",
}


class GroupRefusedError(HeadraceError):
    """Why a process cannot take part in its group: one line that says what is wrong and how to mend it."""


class Assignment(Protocol):
    """What the group gave this consumer."""

    @property
    def tps(self) -> Set[TopicPartition]: ...
    @property
    def active(self) -> bool:
        """Whether it still holds: no other one has come, and the group does not rebalance again."""


class Membership:
    """What a consumer's group coordinator knows: generation, committed offsets, the age of the last heartbeat."""

    def __init__(self, consumer: AIOKafkaConsumer, heartbeat: Heartbeat) -> None:
        self._consumer = consumer
        self._coordinator = coordinator = consumer._coordinator
        self.offsets = GroupOffsets(coordinator)
        self.heartbeat = heartbeat
        """aiokafka keeps the time of the last one in a local variable."""
        self.refused_since: float | None = None
        self.expelled = False
        """Whether the group dropped this member because it heard nothing of it; until it is placed again."""
        self._session_timeout_s = coordinator._session_timeout_ms / 1000
        self._joined = False
        self._last_code = 0
        self._repeats = Repeats()
        beat, send = coordinator._do_heartbeat, coordinator._send_req

        async def watched() -> bool:
            member, sent_at = coordinator.member_id, time.monotonic()
            alive: bool = await beat()
            now = time.monotonic()
            if alive:
                heartbeat.beat(sent_at)  # its answer may have waited for a process that stood still
            elif coordinator.member_id != member:
                self.expelled = heartbeat.last_at is not None and now - heartbeat.last_at > self._session_timeout_s
                # It answered: aiokafka is not to take it for dead and look for another one before it joins again.
                return True
            return alive

        async def noted(request: Any) -> Any:
            response = await send(request)
            self._last_code = getattr(response, "error_code", 0)  # aiokafka keeps none that it does not know
            return response

        coordinator._do_heartbeat = watched
        coordinator._send_req = noted

    @property
    def assignment(self) -> Assignment:
        """The newest one. There must have been one."""
        assignment: Assignment = self._consumer._subscription.subscription.assignment
        return assignment

    @property
    def generation(self) -> int:
        """The group's generation that this worker is a member of; negative when it is not in the group."""
        return int(self._coordinator.generation)

    def joined(self) -> None:
        """The group has given this member its partitions, and their positions are known."""
        self._joined = True
        self.refused_since = None
        self.expelled = False
        if self._repeats.over("group"):
            log.info("the group takes this process again", group=self._coordinator.group_id)

    def join_again(self, why: BaseException) -> None:
        """Ask for partitions anew: those that were given could not be placed."""
        self._say(why)
        self._coordinator.request_rejoin()

    async def watch(self) -> None:
        """Read what the group refuses, and join again, until this is cancelled.

        Raises GroupRefusedError where the group refuses from the start, and what ended aiokafka's coordination.
        """
        pause_s = _FIRST_RETRY_S
        while True:
            await asyncio.sleep(_LOOK_S)
            if self._coordinator._pending_exception is None and not self._coordinator._coordination_task.done():
                if self.refused_since is None:
                    pause_s = _FIRST_RETRY_S
                continue
            try:
                self._coordinator.check_errors()
            except KafkaError as error:
                if self._coordinator._coordination_task.done():
                    raise
                self._on_refusal(error)
                self._coordinator.request_rejoin()  # a heartbeat that was refused is not sent again without it
                await asyncio.sleep(equal_jitter_s(pause_s))
                pause_s = min(_LAST_RETRY_S, 2 * pause_s) if self._joined else _FIRST_RETRY_S

    def _on_refusal(self, error: KafkaError) -> None:
        now = time.monotonic()
        if self.refused_since is None:
            self.refused_since = now
        if not self._joined and now - self.refused_since >= START_PATIENCE_S:
            raise GroupRefusedError(self._line(error))
        self._say(error)

    def _say(self, error: BaseException) -> None:
        if times := self._repeats.due("group", time.monotonic()):
            log.warning("the group does not take this process now, trying again", error=self._line(error), times=times)

    def _line(self, error: BaseException) -> str:
        code = code_of(error)
        if code is None and self._last_code:
            code = self._last_code
        group = self._coordinator.group_id
        if code is None:
            return f"the group {group} cannot be joined: {explain_error(error)}"
        remedy = f": {_REMEDIES[code]}" if code in _REMEDIES else ""
        return f"the group {group} refuses this process ({name_of(code)}){remedy}"
