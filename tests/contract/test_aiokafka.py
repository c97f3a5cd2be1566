"""The private names of aiokafka, Faust and mode that the transport and the outbox rely on.

They have no promise behind them. An upgrade that moves one fails here, with its name, and not in a worker at night.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.consumer import fetcher
from aiokafka.consumer.consumer import AIOKafkaConsumer as ConsumerClass
from aiokafka.consumer.fetcher import Fetcher, FetchError, FetchResult, PartitionRecords
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import Assignment, Subscription, SubscriptionState, TopicPartitionState
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record import default_records, memory_records, util
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition
from faust.transport.consumer import Consumer as FaustConsumer
from faust.transport.drivers import aiokafka as faust_driver

UPGRADE = "aiokafka, Faust or mode was upgraded: streams/transport or streams/delivery has to follow"


def parameters(function: Callable[..., Any]) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name != "self"]


@pytest.mark.parametrize(
    ("owner", "name", "expected", "is_async"),
    [
        (Fetcher, "_notify", ["future"], False),
        (Fetcher, "_create_fetch_waiter", [], False),
        (Fetcher, "_proc_fetch_request", ["assignment", "node_id", "request"], True),
        (Fetcher, "seek_to", ["tp", "offset"], False),
        (AIOKafkaClient, "send", ["node_id", "request"], True),
        (FetchRequest, "build", ["request_struct_class"], False),
        (FetchResult, "check_assignment", ["tp"], False),
        (FetchResult, "_update_position", [], False),
        (FetchResult, "has_more", [], False),
        (PartitionRecords, "_consumer_record", ["tp", "record"], False),
        (FetchError, "check_raise", [], False),
        (SubscriptionState, "fetch_context", [], False),
        (Assignment, "state_value", ["tp"], False),
        (GroupCoordinator, "_do_heartbeat", [], True),
        (GroupCoordinator, "fetch_committed_offsets", ["partitions"], True),
        (AbstractPartitionAssignor, "assign", ["cluster", "members"], False),
        (AbstractPartitionAssignor, "metadata", ["topics"], False),
        (AbstractPartitionAssignor, "on_assignment", ["assignment"], False),
        (BatchBuilder, "append", ["timestamp", "key", "value", "headers"], False),
        (BatchBuilder, "close", [], False),
        (AIOKafkaProducer, "create_batch", [], False),
        (AIOKafkaProducer, "send_batch", ["batch", "topic", "partition"], True),
        (ConsumerClass, "commit", ["offsets"], True),
        (util, "decode_varint", ["buffer", "pos"], False),
    ],
)
def test_a_method_takes_what_we_give_it(owner: Any, name: str, expected: list[str], is_async: bool) -> None:
    found = getattr(owner, name, None)
    assert found is not None, f"{owner.__name__}.{name} is gone. {UPGRADE}"
    # What is compiled tells no signature; it is called in tests/unit/transport/test_tolerant.py.
    if not inspect.isbuiltin(found) and "cyfunction" not in type(found).__name__:
        assert parameters(found)[: len(expected)] == expected, f"{owner.__name__}.{name}. {UPGRADE}"
        assert inspect.iscoroutinefunction(found) == is_async, f"{owner.__name__}.{name}. {UPGRADE}"


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (SubscriptionState, "reassignment_in_progress"),
        (SubscriptionState, "subscription"),
        (Subscription, "assignment"),
        (Assignment, "active"),
        (Assignment, "tps"),
        (TopicPartitionState, "position"),
    ],
)
def test_a_property_is_one(owner: Any, name: str) -> None:
    assert isinstance(inspect.getattr_static(owner, name, None), property), f"{owner.__name__}.{name}. {UPGRADE}"


def test_reading_by_our_own_hand_finds_what_it_extends() -> None:
    assert parameters(PartitionRecords.__init__) == [
        "tp", "records", "aborted_transactions", "fetch_offset", "key_deserializer", "value_deserializer",
        "check_crcs", "isolation_level",
    ], UPGRADE  # fmt: skip
    assert issubclass(memory_records._MemoryRecordsPy, object), UPGRADE
    for owner, names in (
        (memory_records._MemoryRecordsPy, ("next_batch", "_cache_next")),
        (default_records._DefaultRecordBatchPy, ("_read_msg",)),
    ):
        for name in names:
            assert callable(getattr(owner, name, None)), f"{owner.__name__}.{name} is gone. {UPGRADE}"
    assert parameters(FetchRequest.__init__)[:5] == [
        "max_wait_time", "min_bytes", "max_bytes", "isolation_level", "topics",
    ], UPGRADE  # fmt: skip


def test_the_outbox_makes_batches_of_its_own() -> None:
    assert parameters(BatchBuilder.__init__)[:2] == ["batch_size", "compression_type"], UPGRADE
    assert default_records.DefaultRecordBatch.CODEC_GZIP == 1, UPGRADE
    builder = BatchBuilder(1, default_records.DefaultRecordBatch.CODEC_GZIP)
    taken = builder.append(timestamp=None, key=None, value=None, headers=[("name", None)])
    assert taken is not None, f"the first message of a batch finds room, whatever its size. {UPGRADE}"
    assert builder.append(timestamp=None, key=b"k", value=b"v", headers=[]) is None, UPGRADE
    builder.close()
    assert builder._build() is builder._build(), f"a batch may be sent again. {UPGRADE}"


async def test_a_consumer_holds_what_the_hand_out_reads_and_sets() -> None:
    consumer = AIOKafkaConsumer(group_id=None, bootstrap_servers="127.0.0.1:1")
    assert hasattr(consumer, "_closed"), UPGRADE
    assert consumer._fetcher is None, UPGRADE
    assert hasattr(consumer, "_coordinator"), UPGRADE
    assert hasattr(consumer, "_client"), UPGRADE
    assert isinstance(consumer._subscription, SubscriptionState), UPGRADE


def test_the_fetcher_keeps_its_records_where_we_take_them() -> None:
    """Attributes that are set in `__init__`: a fetcher cannot be made without a connection."""
    source = inspect.getsource(Fetcher.__init__)
    for name in (
        "_records", "_in_flight", "_prefetch_backoff", "_fetch_waiters", "_wait_consume_future", "_closed",
        "_max_partition_fetch_bytes", "_fetch_max_bytes", "_isolation_level", "_check_crcs",
    ):  # fmt: skip
        assert f"self.{name} = " in source, f"Fetcher.{name} is gone. {UPGRADE}"
    assert "self.generation = " in inspect.getsource(GroupCoordinator.__init__), UPGRADE
    assert "self._assignment = " in inspect.getsource(FetchResult.__init__), UPGRADE
    for result in (FetchResult, FetchError):
        assert "self._backoff = backoff" in inspect.getsource(result.__init__), UPGRADE


def test_a_record_of_a_fetch_is_made_by_a_method_that_may_be_replaced() -> None:
    assert "self._partition_records = " in inspect.getsource(FetchResult.__init__), UPGRADE
    assert "self._records_iterator = self._unpack_records()" in inspect.getsource(PartitionRecords.__init__), UPGRADE
    assert "= self._consumer_record(tp, record)" in inspect.getsource(PartitionRecords._unpack_records), UPGRADE
    builder = default_records.DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1000)
    builder.append(0, 17, key=b"k", value=b"v", headers=[("name", b"header")])
    (record,) = MemoryRecords(bytes(builder.build())).next_batch()
    assert (record.offset, record.timestamp, record.key, record.value) == (0, 17, b"k", b"v"), UPGRADE
    assert list(record.headers) == [("name", b"header")], UPGRADE


def test_a_fetch_waits_for_what_the_hand_out_notifies() -> None:
    """The fetch routine goes on when `_wait_consume_future` is done and asks again with what `_records` lacks."""
    routine = inspect.getsource(Fetcher._fetch_requests_routine)
    assert "self._wait_consume_future = create_future()" in routine, UPGRADE
    assert "for waiter in self._fetch_waiters" in routine, UPGRADE
    assert "self._proc_fetch_request(" in routine, f"it is looked up at each fetch, so that it can be paced. {UPGRADE}"
    assert "in self._records" in inspect.getsource(Fetcher._get_actions_per_node), UPGRADE
    assert "self._do_heartbeat()" in inspect.getsource(GroupCoordinator._heartbeat_routine), UPGRADE
    assert fetcher.FetchResult is FetchResult, UPGRADE


def test_the_fetcher_sends_by_a_client_that_may_be_replaced() -> None:
    assert "self._client = client" in inspect.getsource(Fetcher.__init__), UPGRADE
    fetch = inspect.getsource(Fetcher._proc_fetch_request)
    assert "await self._client.send(node_id, request)" in fetch, f"it is looked up at each fetch. {UPGRADE}"
    assert "in request.topics" in fetch, f"of its own request it knows which offsets it had asked for. {UPGRADE}"
    assert "for topic, partitions in response.topics" in fetch, (
        f"an answer need not name all that was asked for. {UPGRADE}"
    )
    assert "FetchRequest(" in inspect.getsource(Fetcher._get_actions_per_node), UPGRADE
    assert "elif node_id in self._in_flight" in inspect.getsource(Fetcher._get_actions_per_node), (
        f"there is one fetch at a time for a broker. {UPGRADE}"
    )
    assert inspect.getsource(AIOKafkaClient).count("self.cluster = ") == 1, f"the cluster is set once. {UPGRADE}"
    assert "self.cluster = " in inspect.getsource(AIOKafkaClient.__init__), UPGRADE


def test_a_fetch_request_is_written_when_it_is_sent_and_from_what_we_set() -> None:
    topics = [("t", [(3, 5, 100)])]
    assert vars(FetchRequest(1, 2, 3, 1, topics, rack_id="r")) == {
        "_max_wait_ms": 1, "_min_bytes": 2, "_max_bytes": 3, "_isolation_level": 1, "_topics": topics, "_rack_id": "r",
    }, UPGRADE  # fmt: skip
    assert FetchRequest(1, 2, 3, 1, topics).topics is topics, UPGRADE
    assert "request.prepare(self._versions)" in inspect.getsource(AIOKafkaConnection.send), UPGRADE
    assert "self.build(" in inspect.getsource(FetchRequest.prepare), UPGRADE


@pytest.mark.parametrize("struct", FetchRequest._CLASSES)
def test_a_fetch_has_a_session_from_version_7_on(struct: Any) -> None:
    version = struct.API_VERSION
    assert version < 13, f"from version 13 on topics are named by an id, in sessions too. {UPGRADE}"
    has_session = {"session_id", "session_epoch", "forgotten_topics_data"} <= set(struct.SCHEMA.names)
    answer_has_session = {"error_code", "session_id"} <= set(struct.RESPONSE_TYPE.SCHEMA.names)
    assert (has_session, answer_has_session) == (version >= 7, version >= 7), UPGRADE
    assert version == struct.RESPONSE_TYPE.API_VERSION, UPGRADE
    if has_session:
        built = FetchRequest(1, 2, 3, 1, [("t", [(3, 5, 100)])]).build(struct)
        without = (built.session_id, built.session_epoch, built.forgotten_topics_data)
        assert without == (0, -1, []), f"aiokafka speaks of sessions itself. {UPGRADE}"
        built.session_id, built.session_epoch, built.forgotten_topics_data = 9, 4, [("u", [0, 1])]
        written = struct.decode(built.encode())
        assert (written.session_id, written.session_epoch) == (9, 4), UPGRADE
        assert written.forgotten_topics_data == [("u", [0, 1])], UPGRADE


async def test_inside_a_fetch_context_no_idle_time_is_counted() -> None:
    subscriptions = SubscriptionState()
    with subscriptions.fetch_context():
        assert subscriptions.fetcher_idle_time == 0, UPGRADE


def test_a_waiter_is_told_once_and_forgotten_when_it_is_done() -> None:
    source = inspect.getsource(Fetcher._create_fetch_waiter)
    assert "add_done_callback" in source, UPGRADE
    assert "self._fetch_waiters.add" in source, UPGRADE
    assert "not future.done()" in inspect.getsource(Fetcher._notify), f"notifying twice is fine. {UPGRADE}"


def test_topic_partitions_are_tuples_of_topic_and_number() -> None:
    assert TopicPartition("t", 3) == ("t", 3), UPGRADE


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (FaustConsumer, "_drain_messages"),
        (FaustConsumer, "on_partitions_revoked"),
        (FaustConsumer, "on_partitions_assigned"),
        (FaustConsumer, "_commit_handler"),
        (FaustConsumer, "wait_empty"),
        (FaustConsumer, "perform_seek"),
        (FaustConsumer, "can_resume_flow"),
        (faust_driver.Producer, "on_start"),
        (faust_driver.Producer, "flush"),
        (faust_driver.Transport, "Consumer"),
    ],
)
def test_faust_calls_what_we_override(owner: Any, name: str) -> None:
    in_class = hasattr(owner, name) or f"self.{name} = " in inspect.getsource(owner.__init__)
    assert in_class or name in getattr(owner, "__annotations__", {}), f"{owner.__name__}.{name} is gone. {UPGRADE}"
