"""What several writers of one client send to a broker in the same turns of the event loop, in one produce request.

A broker serves one request of a connection at a time, and is not done with one before the replicas have it: an answer that leaves
behind the entry that the cache keeps of it would wait for two rounds, and each request costs the broker more than what is in it.
The order in which writers come is kept: nothing leaves later than by itself, by more than two turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams.kafka.produce import ALL_IN_SYNC, produce

_Errors = Mapping[TopicPartition, Exception]

_TURNS: Final = 2
"""Turns of the loop for which a request waits: one writer's task may begin a turn after another's, of what was posted at once."""

_NO_ANSWER: Final = "the request that it was to travel with was given up"


class _Turn:
    """A request that has not left: the batches of who began it, and of those who joined."""

    __slots__ = ("batches", "joined")

    def __init__(self, batches: Mapping[TopicPartition, bytes]) -> None:
        self.batches = dict(batches)
        self.joined: list[asyncio.Future[_Errors]] = []


class JointProduce:
    """Produce requests through one client. The first writer of a turn sends for those that join it."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._turns: dict[tuple[int, int, int], _Turn] = {}

    async def produce(
        self, node_id: int, batches: Mapping[TopicPartition, bytes], timeout_ms: int, acks: int = ALL_IN_SYNC
    ) -> _Errors:
        """As `streams.kafka.produce.produce`; joined are requests with the same broker, timeout and acks, and other partitions.

        Which were not acked, and why, of these batches alone. Raises KafkaError where there is no answer.
        """
        key = node_id, timeout_ms, acks
        turn = self._turns.get(key)
        if turn is not None and turn.batches.keys().isdisjoint(batches):
            turn.batches.update(batches)
            told: asyncio.Future[_Errors] = asyncio.get_running_loop().create_future()
            turn.joined.append(told)
            return _of(batches, await told)
        turn = self._turns[key] = _Turn(batches)
        try:
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            self._leaves(key, turn)
            errors = await produce(self._client, node_id, turn.batches, timeout_ms, acks)
        except BaseException as error:
            self._leaves(key, turn)
            _fail(turn, error)
            raise
        for told in turn.joined:
            if not told.done():
                told.set_result(errors)
        return _of(batches, errors)

    def _leaves(self, key: tuple[int, int, int], turn: _Turn) -> None:
        """Nobody joins it any more."""
        if self._turns.get(key) is turn:
            del self._turns[key]


def _of(batches: Mapping[TopicPartition, bytes], errors: _Errors) -> _Errors:
    return {partition: error for partition, error in errors.items() if partition in batches} if errors else errors


def _fail(turn: _Turn, error: BaseException) -> None:
    """Whoever has joined hears of it; of a writer that was cancelled, that nobody knows what became of the request."""
    for told in turn.joined:
        if not told.done():
            told.set_exception(error if isinstance(error, Exception) else KafkaError(_NO_ANSWER))
