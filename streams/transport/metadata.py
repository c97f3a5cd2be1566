"""Cluster metadata as aiokafka keeps it, from an answer that says more: topic ids (KIP-516), and nothing of topics that failed.

aiokafka asks with versions that know no topic ids, and drops a topic from what it knows whenever the broker answers with any
error for it. A worker then believes that the topic has no partitions: its group rebalances to nothing because one broker was
starting. Here a topic that failed stays as it was; one that the broker does not know is gone when it says so twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Final

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.metadata import (
    MetadataRequest_v1,
    MetadataRequest_v2,
    MetadataRequest_v3,
    MetadataRequest_v4,
    MetadataRequest_v5,
    MetadataResponse_v1,
)
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from topics.broker_errors import name_of

_UNKNOWN_TOPIC: Final = 3
_NO_ID: Final = bytes(16)
_TEXT: Final = CompactString("utf-8")


class _Uuid(AbstractType[bytes]):  # type: ignore[misc]
    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(16)

    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value


class _Response(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(("node_id", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT), ("tags", TaggedFields)),
        ),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", _TEXT),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16), ("partition", Int32), ("leader", Int32), ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)), ("isr", CompactArray(Int32)), ("offline", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )  # fmt: skip


class _Request(RequestStruct):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 12
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _Response
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("topic", _TEXT), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class Metadata(
    Request[  # type: ignore[misc]
        MetadataRequest_v1
        | MetadataRequest_v2
        | MetadataRequest_v3
        | MetadataRequest_v4
        | MetadataRequest_v5
        | _Request
    ]
):
    """Metadata of these topics; of all where None. It never creates one, as far as the broker can be told."""

    API_KEY = 3

    def __init__(self, topics: list[str] | None) -> None:
        self._topics = topics

    def build(self, request_struct_class: Any) -> Any:
        if request_struct_class is _Request:
            named: list[Any] | None = None
            if self._topics is not None:
                named = [(_NO_ID, topic, {}) for topic in self._topics]
            return _Request(named, False, False, {})
        if request_struct_class.API_VERSION >= 4:
            return request_struct_class(self._topics, False)
        return request_struct_class(self._topics)


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
                topic_id, found = _NO_ID, [each[:5] for each in partitions]
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
        if topic_id == _NO_ID:
            return
        known = self.ids.get(topic)
        if known is not None and known != topic_id:
            self.made_anew.add(topic)
        self.ids[topic] = topic_id
