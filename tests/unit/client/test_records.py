"""What the Python client publishes is what the fleet reads: its own decoder and the exported schemas are the judges."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from headrace_client.names import PRIORITIES, Priority, Topics
from headrace_client.records import Cache, Request, content_digest, encode, outgoing
from streams.intake.decode import Decoder
from streams.kafka.records import Origin
from streams.pipeline import PendingRequest
from tests.unit.client.records import record_of
from topics.names import RESPONSES, TOPIC_OF

SCHEMA = Draft202012Validator(json.loads((Path(__file__).parents[3] / "schemas/exported/request.v1.json").read_text()))
DECODER = Decoder(max_value_bytes=2**20, waits_s={"high": 10.0, "normal": 30.0, "low": 60.0})
NOW = datetime(2026, 1, 1, tzinfo=UTC)
CHAT: dict[str, Any] = {"model": "small", "messages": [{"role": "user", "content": "hi"}]}

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))
moments = st.datetimes(datetime(2026, 1, 2), datetime(2026, 12, 1), timezones=st.just(UTC))  # noqa: DTZ001 - given its zone
requests = st.builds(
    Request,
    request_id=texts,
    agent_id=texts,
    payload=st.builds(lambda extra: {**extra, **CHAT}, st.dictionaries(texts, values, max_size=4)),
    priority=st.sampled_from(PRIORITIES),
    conversation_id=st.none() | texts,
    cache=st.none()
    | st.builds(
        Cache,
        st.sampled_from(["read_write", "read_only", "write_only", "off"]),
        st.none() | st.floats(0.001, 86_400),
    ),
    timeout_s=st.none() | st.floats(0.001, 86_400),
    deadline=st.none() | moments,
    traceparent=st.none() | st.just("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
)


def decoded(request: Request, *, reply_topic: str = RESPONSES) -> PendingRequest:
    record = outgoing(request, Topics(), reply_topic=reply_topic, source="/tests", now=NOW)
    found = DECODER.decode(record_of(record), Origin(record.topic, 3), None, 0)  # type: ignore[arg-type]
    assert isinstance(found, PendingRequest), found
    return found


@given(requests)
def test_what_is_published_is_read_by_the_fleet_as_it_was_meant(request: Request) -> None:
    found = decoded(request)
    assert found.request_id == request.request_id
    assert found.agent_id == request.agent_id
    assert found.priority == request.priority
    assert found.request.payload == request.payload
    assert found.request.conversation_id == request.conversation_id
    assert found.reply_topic == RESPONSES
    assert (found.traceparent or b"").decode() == (request.traceparent or "")
    if request.cache is not None:
        assert found.request.cache.mode == request.cache.mode
        assert found.request.cache.ttl_s == request.cache.ttl_s
    if request.timeout_s is not None:
        assert found.request.timeout_s == request.timeout_s
    elif request.deadline is not None:
        assert found.request.deadline is not None
        assert abs((found.request.deadline - request.deadline).total_seconds()) < 0.001


@given(requests)
def test_what_is_published_fits_the_exported_schema(request: Request) -> None:
    record = outgoing(request, Topics(), reply_topic=RESPONSES, source="/tests", now=NOW)
    SCHEMA.validate(json.loads(record.value))
    assert record.topic == TOPIC_OF[request.priority]
    assert record.key == request.agent_id.encode()


def test_a_reply_topic_of_ones_own_travels_in_its_header() -> None:
    found = decoded(Request("r", "a", CHAT), reply_topic="agent.responses.mine")
    assert found.reply_topic == "agent.responses.mine"


def test_a_lane_and_the_wish_for_deltas_travel_in_headers_and_the_shared_topic_is_named_with_a_lane() -> None:
    record = outgoing(
        Request("r", "a", CHAT), Topics(), reply_topic=RESPONSES, source="/tests", now=NOW, lane=3, stream=True
    )
    found = DECODER.decode(record_of(record), Origin(record.topic, 3), None, 0)  # type: ignore[arg-type]
    assert isinstance(found, PendingRequest), found
    assert (found.reply_topic, found.reply_partition, found.streams) == (RESPONSES, 3, True)


def test_embeddings_are_an_operation_of_their_own() -> None:
    assert decoded(Request("r", "a", {"model": "small", "input": "hi"}, operation="embeddings")).request.operation == (
        "embeddings"
    )


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"request_id": ""}, "request_id"),
        ({"request_id": "x" * 257}, "request_id"),
        ({"agent_id": ""}, "agent_id"),
        ({"agent_id": "\ud800"}, "lone surrogate"),
        ({"conversation_id": ""}, "conversation_id"),
        ({"priority": "urgent"}, "priority"),
        ({"operation": "completions"}, "operation"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"timeout_s": float("nan")}, "timeout_s"),
        ({"timeout_s": 86_401}, "timeout_s"),
        ({"deadline": datetime(2026, 1, 1)}, "time zone"),  # noqa: DTZ001 - that is the fault
        ({"cache": Cache("on")}, "cache.mode"),  # type: ignore[arg-type]
        ({"cache": Cache(ttl_s=0)}, "cache.ttl_s"),
        ({"payload": CHAT | {"seed": 2**64}}, "JSON"),
        ({"payload": CHAT | {"temperature": float("nan")}}, "not finite"),
        ({"payload": CHAT | {"stop": ["\ud800"]}}, "JSON"),
        ({"payload": CHAT | {"tools": {1: 2}}}, "JSON"),
    ],
)
def test_what_the_contract_refuses_is_refused_before_it_is_sent(changed: dict[str, Any], named: str) -> None:
    fields: dict[str, Any] = {"request_id": "r", "agent_id": "a", "payload": CHAT, **changed}
    with pytest.raises(ValueError, match=named):
        outgoing(Request(**fields), Topics(), reply_topic=RESPONSES, source="/tests", now=NOW)


def test_a_digest_knows_the_content_and_not_the_time_or_the_order_of_keys() -> None:
    first = Request("r", "a", {"model": "m", "messages": [1]}, timeout_s=3, deadline=NOW + timedelta(seconds=1))
    same = Request("r", "a", {"messages": [1], "model": "m"}, timeout_s=9)
    other = Request("r", "a", {"model": "m", "messages": [2]})
    assert content_digest(first) == content_digest(same) != content_digest(other)


def test_null_itself_is_fine() -> None:
    assert orjson.loads(encode({"a": None, "b": [1.5, "null"]})) == {"a": None, "b": [1.5, "null"]}


@pytest.mark.parametrize("priority", PRIORITIES)
def test_a_fleet_with_a_prefix_has_topics_of_its_own(priority: Priority) -> None:
    topics = Topics("team-a.")
    assert topics.requests(priority) == f"team-a.agent.requests.{priority}"
    topics.check_reply_topic("team-a.agent.responses")
    topics.check_reply_topic("team-a.agent.responses.chat")


@pytest.mark.parametrize(
    "name", ["agent.requests.high", "agent.responses.", "mine", "agent.responses.ä", "agent.responsesx"]
)
def test_a_reply_topic_that_the_contract_does_not_allow_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="reply_topic"):
        Topics().check_reply_topic(name)
