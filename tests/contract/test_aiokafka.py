"""The private names of aiokafka, Faust and mode that the transport and the outbox rely on.

They have no promise behind them. An upgrade that moves one fails here, with its name, and not in a worker at night.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.conn import AIOKafkaConnection
from aiokafka.consumer.consumer import AIOKafkaConsumer as ConsumerClass
from aiokafka.consumer.fetcher import Fetcher, FetchError, FetchResult, OffsetResetStrategy
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import Assignment, Subscription, SubscriptionState, TopicPartitionState
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.errors import (
    KafkaError,
    LeaderNotAvailableError,
    MessageSizeTooLargeError,
    NotLeaderForPartitionError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.metadata import MetadataResponse_v1
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record import default_records, util
from aiokafka.structs import TopicPartition
from faust.transport.consumer import Consumer as FaustConsumer
from faust.transport.drivers import aiokafka as faust_driver

from streams.kafka.fetch_session import SessionRequest
from streams.kafka.fetcher import RecordFetcher

UPGRADE = "aiokafka, Faust or mode was upgraded: streams/transport or streams/delivery has to follow"


def parameters(function: Callable[..., Any]) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name != "self"]


@pytest.mark.parametrize(
    ("owner", "name", "expected", "is_async"),
    [
        (Fetcher, "_notify", ["future"], False),
        (Fetcher, "_create_fetch_waiter", [], False),
        (Fetcher, "_proc_fetch_request", ["assignment", "node_id", "request"], True),
        (Fetcher, "_fetch_requests_routine", [], True),
        (Fetcher, "_update_fetch_positions", ["assignment", "node_id", "tps"], True),
        (Fetcher, "_set_error", ["tp", "error"], False),
        (Fetcher, "seek_to", ["tp", "offset"], False),
        (AIOKafkaClient, "send", ["node_id", "request"], True),
        (AIOKafkaClient, "force_metadata_update", [], False),
        (ClusterMetadata, "add_listener", ["listener"], False),
        (ClusterMetadata, "leader_for_partition", ["partition"], False),
        (FetchRequest, "build", ["request_struct_class"], False),
        (FetchResult, "check_assignment", ["tp"], False),
        (FetchResult, "_update_position", [], False),
        (FetchResult, "has_more", [], False),
        (FetchError, "check_raise", [], False),
        (SubscriptionState, "fetch_context", [], False),
        (SubscriptionState, "wait_for_assignment", [], False),
        (Assignment, "state_value", ["tp"], False),
        (TopicPartitionState, "await_reset", ["strategy"], False),
        (TopicPartitionState, "consumed_to", ["position"], False),
        (GroupCoordinator, "_do_heartbeat", [], True),
        (GroupCoordinator, "ensure_coordinator_known", [], True),
        (GroupCoordinator, "_send_req", ["request"], True),
        (GroupCoordinator, "coordinator_dead", [], False),
        (GroupCoordinator, "reset_generation", [], False),
        (GroupCoordinator, "request_rejoin", [], False),
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
    # What is compiled tells no signature; it is called in tests/unit/kafka/test_tolerant.py.
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
        (TopicPartitionState, "has_valid_position"),
        (TopicPartitionState, "position"),
    ],
)
def test_a_property_is_one(owner: Any, name: str) -> None:
    assert isinstance(inspect.getattr_static(owner, name, None), property), f"{owner.__name__}.{name}. {UPGRADE}"


def test_reading_by_our_own_hand_finds_what_it_extends() -> None:
    assert callable(getattr(default_records._DefaultRecordBatchPy, "_read_msg", None)), UPGRADE
    batch = default_records._DefaultRecordBatchPy(bytes(61))
    assert {"_buffer", "_pos", "_decompressed"} <= set(vars(batch)), UPGRADE
    assert parameters(FetchRequest.__init__)[:5] == [
        "max_wait_time", "min_bytes", "max_bytes", "isolation_level", "topics",
    ], UPGRADE  # fmt: skip


def test_the_outbox_makes_batches_and_requests_of_its_own() -> None:
    batch = default_records.DefaultRecordBatch
    assert (batch.CODEC_NONE, batch.CODEC_GZIP) == (0, 1), UPGRADE
    builder = default_records.DefaultRecordBatchBuilder(2, batch.CODEC_GZIP, 0, -1, -1, 0, 1)
    taken = builder.append(0, None, key=None, value=None, headers=[("name", None)])
    assert taken is not None, f"the first message of a batch finds room, whatever its size. {UPGRADE}"
    assert builder.append(1, None, key=b"k", value=b"v", headers=[]) is None, UPGRADE
    written = builder.build()
    assert parameters(ProduceRequest.__init__) == ["transactional_id", "required_acks", "timeout", "topics"], UPGRADE
    request = ProduceRequest(None, -1, 1_000, [("t", [(3, written)])])
    for struct in ProduceRequest._CLASSES:
        built = request.prepare({ProduceRequest.API_KEY: (struct.API_VERSION, struct.API_VERSION)})
        assert struct.decode(built.encode()).topics == [("t", [(3, bytes(written))])], UPGRADE
        answer = struct.RESPONSE_TYPE.SCHEMA
        topics = answer.fields[answer.names.index("topics")].array_of
        assert list(topics.fields[1].array_of.names[:2]) == ["partition", "error_code"], UPGRADE
    for error in (NotLeaderForPartitionError, LeaderNotAvailableError, UnknownTopicOrPartitionError):
        assert (error.retriable, error.invalid_metadata) == (True, True), UPGRADE
    assert (MessageSizeTooLargeError.errno, MessageSizeTooLargeError.retriable) == (10, False), UPGRADE


OPTIONS: dict[str, Any] = {
    "fetch_min_bytes": 3, "fetch_max_bytes": 5, "fetch_max_wait_ms": 7, "max_partition_fetch_bytes": 11,
    "check_crcs": False, "retry_backoff_ms": 13, "auto_offset_reset": "none", "isolation_level": "read_committed",
}  # fmt: skip


async def test_a_consumer_holds_what_the_fetching_reads_and_sets() -> None:
    consumer = AIOKafkaConsumer(group_id=None, bootstrap_servers="127.0.0.1:1", **OPTIONS)
    assert {name: getattr(consumer, f"_{name}", None) for name in OPTIONS} == OPTIONS, UPGRADE
    assert consumer._closed is False, UPGRADE
    assert consumer._fetcher is None, UPGRADE
    assert hasattr(consumer, "_coordinator"), UPGRADE
    assert isinstance(consumer._client, AIOKafkaClient), UPGRADE
    assert isinstance(consumer._client.cluster, ClusterMetadata), UPGRADE
    assert isinstance(consumer._subscription, SubscriptionState), UPGRADE
    started, stopped = inspect.getsource(ConsumerClass.start), inspect.getsource(ConsumerClass.stop)
    assert "self._fetcher = Fetcher(" in started, f"it is there when the consumer has started. {UPGRADE}"
    assert "await self._fetcher.close()" in stopped, f"it is looked up when the consumer stops. {UPGRADE}"
    await consumer.stop()


class Listless(Fetcher):  # type: ignore[misc]
    """A fetcher with a routine of its own."""

    begun = ended = False

    async def _fetch_requests_routine(self) -> None:
        self.begun = True
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.ended = True


async def test_a_fetcher_runs_a_routine_that_may_be_another_one_and_keeps_what_we_read() -> None:
    consumer = AIOKafkaConsumer(group_id=None, bootstrap_servers="127.0.0.1:1")
    client, subscriptions = consumer._client, consumer._subscription
    made = Listless(client, subscriptions, **OPTIONS)
    assert not made.begun, f"it begins when all else is there. {UPGRADE}"
    kept = {
        "_client": client, "_subscriptions": subscriptions, "_fetch_min_bytes": 3, "_fetch_max_bytes": 5,
        "_fetch_max_wait_ms": 7, "_max_partition_fetch_bytes": 11, "_check_crcs": False, "_retry_backoff": 0.013,
        "_default_reset_strategy": OffsetResetStrategy.NONE, "_isolation_level": 1, "_records": {},
        "_fetch_waiters": set(), "_closed": False,
    }  # fmt: skip
    assert {name: getattr(made, name, None) for name in kept} == kept, UPGRADE
    await asyncio.sleep(0)
    assert made.begun, UPGRADE
    waiter = made._create_fetch_waiter()
    assert made._fetch_waiters == {waiter}, UPGRADE
    await made.close()
    assert (made.ended, made._closed, made._fetch_task.cancelled(), waiter.done()) == (True,) * 4, UPGRADE
    await consumer.stop()


@pytest.mark.parametrize(
    ("ours", "theirs", "replaced"),
    [
        (RecordFetcher, Fetcher, {"seek_to", "_fetch_requests_routine"}),
        (SessionRequest, FetchRequest, {"build", "_topics", "_CLASSES", "_abc_impl"}),  # two of every request's own
    ],
)
def test_of_their_names_we_take_only_those_that_we_mean_to(ours: Any, theirs: Any, replaced: set[str]) -> None:
    def names(owner: Any) -> set[str]:
        set_on_self = re.findall(r"\bself\.(\w+)(?:: [^=\n]+)? = ", inspect.getsource(owner))
        return {name for name in (*vars(owner), *set_on_self) if not name.startswith("__")}

    assert names(ours) & names(theirs) == replaced, UPGRADE


def test_what_was_fetched_is_kept_as_we_make_it() -> None:
    assert parameters(FetchResult.__init__) == ["tp", "assignment", "partition_records", "backoff"], UPGRADE
    made = FetchResult("t", assignment="a", partition_records="p", backoff=0)
    assert (made._assignment, made._partition_records, made.has_more()) == ("a", "p", True), UPGRADE
    assert "self.generation = " in inspect.getsource(GroupCoordinator.__init__), UPGRADE
    error = inspect.getsource(Fetcher._set_error)
    assert "self._records[tp] = FetchError(" in error, f"an error is taken as records are. {UPGRADE}"
    assert "assert tp not in self._records" in error, f"it is no way to replace records. {UPGRADE}"


async def test_a_position_is_placed_by_aiokafka_and_told_apart_from_one_that_is() -> None:
    subscriptions = SubscriptionState()
    subscriptions.assign_from_user([TopicPartition("t", 0)])
    state = subscriptions.subscription.assignment.state_value(TopicPartition("t", 0))
    assert (state.has_valid_position, state.lso, state.highwater) == (False, None, None), UPGRADE
    subscriptions.seek(TopicPartition("t", 0), 5)
    assert (state.has_valid_position, state.position) == (True, 5), UPGRADE
    state.consumed_to(6)
    assert state.position == 6, UPGRADE
    state.await_reset(OffsetResetStrategy.EARLIEST)
    assert (state.has_valid_position, state.awaiting_reset) == (False, True), UPGRADE
    placing = inspect.getsource(Fetcher._update_fetch_positions)
    assert "if tp_state.has_valid_position or tp_state.awaiting_reset:" in placing, UPGRADE
    assert "await asyncio.sleep(self._retry_backoff)" in placing, f"it is called again at once. {UPGRADE}"
    assert "except asyncio.CancelledError:\n" in placing, f"it may swallow that it was cancelled. {UPGRADE}"


async def test_an_assignment_says_when_it_ends_and_the_next_one_is_waited_for() -> None:
    subscriptions, partition = SubscriptionState(), TopicPartition("t", 0)
    subscriptions.register_fetch_waiters(set())
    assert SubscriptionState().subscription is None, UPGRADE
    waiting = subscriptions.wait_for_assignment()
    subscriptions.abort_waiters(KafkaError())
    with pytest.raises(KafkaError):
        await waiting
    waiting = subscriptions.wait_for_assignment()
    subscriptions.assign_from_user([partition])
    await waiting
    first = subscriptions.subscription.assignment
    assert (first.active, set(first.tps), first.unassign_future.done()) == (True, {partition}, False), UPGRADE
    subscriptions.assign_from_user([partition])
    assert (first.active, first.unassign_future.done()) == (False, True), UPGRADE
    second = subscriptions.subscription.assignment
    subscriptions.unsubscribe()
    assert (subscriptions.subscription, second.active) == (None, False), UPGRADE
    subscriptions.subscribe({"t"})
    assert subscriptions.subscription.assignment is None, f"of a group there is none at first. {UPGRADE}"


def test_new_metadata_is_told_and_says_who_leads() -> None:
    cluster, told = ClusterMetadata(), list[Any]()
    cluster.add_listener(told.append)
    assert cluster.leader_for_partition(TopicPartition("t", 0)) is None, UPGRADE
    topics = [(0, "t", False, [(0, 0, 7, [7], [7]), (5, 1, -1, [7], [])])]
    cluster.update_metadata(MetadataResponse_v1([(7, "here", 1, None)], 7, topics))
    assert told == [cluster], UPGRADE
    leaders = [cluster.leader_for_partition(TopicPartition("t", number)) for number in range(3)]
    assert leaders == [7, -1, None], UPGRADE
    assert for_code(6) is NotLeaderForPartitionError, UPGRADE


def test_a_batch_is_made_of_a_view_of_its_bytes_and_gives_its_records_one_by_one() -> None:
    builder = default_records.DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1000)
    builder.append(0, 17, key=b"k", value=b"v", headers=[("name", b"header")])
    batch = default_records.DefaultRecordBatch(memoryview(bytes(builder.build())))
    assert batch.validate_crc(), UPGRADE
    (record,) = batch
    assert (record.offset, record.timestamp, record.key, record.value) == (0, 17, b"k", b"v"), UPGRADE
    assert list(record.headers) == [("name", b"header")], UPGRADE


def test_what_a_fetch_holds_is_used_by_the_names_that_our_reader_has() -> None:
    for method in (FetchResult.check_assignment, FetchResult._update_position):
        assert "self._partition_records.next_fetch_offset" in inspect.getsource(method), UPGRADE


def test_a_fetch_of_aiokafkas_own_can_be_paced() -> None:
    routine = inspect.getsource(Fetcher._fetch_requests_routine)
    assert "self._proc_fetch_request(" in routine, f"it is looked up at each fetch. {UPGRADE}"


def test_a_heartbeat_of_aiokafkas_own_can_be_watched() -> None:
    assert "self._do_heartbeat()" in inspect.getsource(GroupCoordinator._heartbeat_routine), UPGRADE


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
