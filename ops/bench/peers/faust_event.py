"""Stock Faust: one event a record, its own acks and commits (each second), answers by `topic.send`."""

import tempfile

import faust

from ops.bench.meter import Meter, leave
from ops.bench.peers.arguments import Arguments
from ops.bench.work import REQUEST_TOPICS, handle
from topics.names import RESPONSES

given, meter = Arguments.read(), Meter()
app = faust.App(
    given.group,
    broker=f"kafka://{given.servers}",
    store="memory://",
    web_enabled=False,
    autodiscover=False,
    datadir=tempfile.mkdtemp(prefix="headrace-bench-faust-"),
    topic_disable_leader=True,
    topic_allow_declare=False,
    producer_acks=-1,
    producer_linger=0.005,
    producer_max_batch_size=65_536,
    broker_commit_interval=1.0,
    stream_buffer_maxsize=16_384,
    broker_max_poll_records=2000,
)
requests = app.topic(*REQUEST_TOPICS, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
responses = app.topic(RESPONSES, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")


@app.agent(requests)  # type: ignore[untyped-decorator]
async def answer(stream: faust.Stream) -> None:
    count = 0
    async for event in stream.events():
        meter.begin()
        message = event.message
        key, value, headers = handle(
            message.topic, message.partition, message.offset, round(message.timestamp * 1000), message.value
        )
        await responses.send(key=key, value=value, headers=headers)
        count += 1
        if count == given.records:
            await app.producer.flush()
            meter.end(count)
            leave()


faust.Worker(app, loglevel="error", redirect_stdouts=False).execute_from_commandline()
