"""Cluster metadata as aiokafka keeps it, from an answer that says more: topic ids (KIP-516), and nothing of topics that failed.

aiokafka asks with versions that know no topic ids, and drops a topic from what it knows whenever the broker answers with any
error for it. A worker then believes that the topic has no partitions: its group rebalances to nothing because one broker was
starting. Here a topic that failed stays as it was; one that the broker does not know is gone when it says so twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka.protocol.metadata import MetadataResponse_v1

from streams.kafka.metadata_request import NO_ID
from topics.broker_errors import name_of

_UNKNOWN_TOPIC: Final = 3


@dataclass(slots=True)
class KnownTopics:
    """What a client knows of topics besides aiokafka's metadata. Pure."""

    ids: dict[str, bytes] = field(default_factory=dict)
    made_anew: set[str] = field(default_factory=set)
    """Topics whose id has changed since somebody looked last."""
    _doubted: set[str] = field(default_factory=set)
    """Topics that the cluster did not know when it was asked last."""

    def read(self, response: Any, before: Mapping[str, Mapping[int, Any]]) -> tuple[Any, dict[str, str]]:
        """The answer as aiokafka's metadata takes it, and the errors of topics. `before`: what was known of partitions."""
        topics, failed = [], {}
        for topic in response.topics:
            if response.API_VERSION >= 12:
                code, name, topic_id, is_internal, partitions = topic[:5]
                found = [
                    (error, number, leader, replicas, isr) for error, number, leader, _, replicas, isr, *_ in partitions
                ]
            else:
                code, name, is_internal, partitions = topic
                topic_id, found = NO_ID, [each[:5] for each in partitions]
            if code and name in before and (code != _UNKNOWN_TOPIC or name not in self._doubted):
                failed[name] = name_of(code)
                if code == _UNKNOWN_TOPIC:
                    self._doubted.add(name)
                code = 0
                found = [(p.error, p.partition, p.leader, p.replicas, p.isr) for p in before[name].values()]
            elif not code:
                self._doubted.discard(name)
                self._note_id(name, topic_id)
            topics.append((code, name, is_internal, found))
        brokers = [broker[:4] for broker in response.brokers]
        return MetadataResponse_v1(brokers, response.controller_id, topics), failed

    def _note_id(self, topic: str, topic_id: bytes) -> None:
        if topic_id == NO_ID:
            return
        known = self.ids.get(topic)
        if known is not None and known != topic_id:
            self.made_anew.add(topic)
        self.ids[topic] = topic_id
