"""The part of the fetcher that asks whether a log is still the one that was read: leader epochs, and topics made anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import structlog
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError
from aiokafka.structs import TopicPartition

from streams.kafka.log_epochs import NO_EPOCH, EndsOfEpochs, LogEpochs, ends_of
from topics.broker_errors import Advice, advice_for_code

log = structlog.get_logger("headrace.transport")


class CheckedLogs(Fetcher):  # type: ignore[misc]
    """aiokafka's fetcher, with what is known of the logs it reads."""

    epochs: LogEpochs

    def _begin_checks(self, on_cut: Callable[[TopicPartition, int | None], None]) -> None:
        self.epochs = LogEpochs()
        self._on_cut = on_cut
        self._out_of_range: set[TopicPartition] = set()

    def seek_to_start(self, partition: TopicPartition) -> None:
        raise NotImplementedError

    def _begin_anew(self, topics: set[str]) -> None:
        subscription = self._subscriptions.subscription
        if (
            subscription is None
            or subscription.assignment is None
            or not self._subscriptions.partitions_auto_assigned()
        ):
            return  # who assigned partitions by hand looks for itself
        for partition in subscription.assignment.tps:
            if partition.topic in topics:
                self.epochs.forget(partition)
                self.seek_to_start(partition)
                self._on_cut(partition, None)
        for topic in topics:
            log.error("a topic was deleted and made again, it is read from its start", topic=topic)
        topics.clear()

    async def _check_logs(self, node_id: int, epochs: Mapping[TopicPartition, int], assignment: Any) -> bool:
        """Ask a leader up to where it has the log of these epochs; whether it said so of all. What was cut begins again there."""
        if self._out_of_range:
            await self._client.force_metadata_update()  # the topic may have been made anew
        answers: list[tuple[Any, int, int, int]]
        try:
            response = await self._client.send(node_id, EndsOfEpochs(epochs))
        except IncompatibleBrokerVersion:
            answers = [(partition, 0, NO_EPOCH, -1) for partition in epochs]
        except KafkaError:
            return False
        else:
            answers = ends_of(response)
        whole = True
        for (topic, number), code, epoch, end_offset in answers:
            partition = TopicPartition(topic, number)
            if not assignment.active or partition not in epochs:
                continue
            if code and advice_for_code(code) in (Advice.ELSEWHERE, Advice.LATER):
                self._client.force_metadata_update()
                whole = False
                continue
            cut = self.epochs.told(partition, epoch, NO_EPOCH if code else end_offset)
            state = assignment.state_value(partition)
            if cut is not None:
                log.error(
                    "a partition's log was cut: an unclean election or a lost disk; going on where it was cut",
                    partition=f"{topic}:{number}", at=cut, read_to=state.position if state.has_valid_position else None,
                )  # fmt: skip
                self._records.pop(partition, None)
                if state.has_valid_position and state.position > cut:
                    self.seek_to(partition, cut)
                self._on_cut(partition, cut)
            elif partition in self._out_of_range:
                self._reset(partition, state)
            self._out_of_range.discard(partition)
        return whole

    def _reset(self, partition: TopicPartition, state: Any) -> None:
        log.warning("the offset is not in the log, resetting it", partition="{}:{}".format(*partition))
        self.epochs.forget(partition)
        state.await_reset(self._default_reset_strategy)
