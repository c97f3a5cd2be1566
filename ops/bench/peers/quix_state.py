"""Quix Streams: a stateful step for each request topic, answers in its RocksDB state, a checkpoint each second.

Its changelog is off: it would hold the few hundred misses, and cost a topic a run.
"""

import tempfile
from typing import Any

from quixstreams import Application, message_context  # type: ignore[import-not-found]

from ops.bench.meter import Meter, leave
from ops.bench.peers.arguments import Arguments
from ops.bench.work import ANSWER, REQUEST_TOPICS, respond
from schemas.request import Request
from streams.cache.key import payload_digest
from topics.names import RESPONSES

given, meter = Arguments.read(), Meter()
count = 0


def answer(value: bytes, key: Any, timestamp_ms: int, headers: Any, state: Any) -> tuple[bytes, Any]:
    meter.begin()
    request = Request.model_validate_json(value)
    digest = payload_digest(request.operation, request.payload).hex()
    found = state.get(digest)
    if found is None:
        found = ANSWER.decode()
        state.set(digest, found)
    context = message_context()
    event_id = f"{context.topic}:{context.partition}:{context.offset}"
    _, made, response_headers = respond(request, event_id, timestamp_ms, found.encode())
    return made, response_headers


def count_one(_: Any) -> None:
    global count
    count += 1
    if count == given.records:
        app._processing_context.producer.flush()
        meter.end(count)
        leave()


app = Application(
    broker_address=given.servers,
    consumer_group=given.group,
    auto_offset_reset="earliest",
    loglevel="ERROR",
    commit_interval=1.0,
    producer_extra_config={"linger.ms": 5},
    state_dir=tempfile.mkdtemp(prefix="headrace-bench-quix-"),
    use_changelog_topics=False,
    auto_create_topics=False,
)
responses = app.topic(RESPONSES, value_serializer="bytes", key_serializer="bytes")
for name in REQUEST_TOPICS:
    requests = app.topic(name, value_deserializer="bytes", key_deserializer="bytes")
    made = app.dataframe(requests).apply(answer, stateful=True, metadata=True)
    made = made.set_headers(lambda made, key, timestamp, headers: made[1]).apply(lambda made: made[0])
    made.to_topic(responses).update(count_one)
app.run()
