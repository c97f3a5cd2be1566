"""FastStream: a batch subscriber, one `publish` a record, its default acknowledgement with a commit each second.

With `--batches` it answers with `publish_batch`, which knows no headers of a single message: those that differ from record to
record (`ce_id`, `ce_time`, `request_id`) are made and left out, so that it writes less than the others. Its check of types is
off in both.
"""

import asyncio
import logging
import sys
from typing import Any

from faststream.kafka import KafkaBroker, KafkaPublishMessage  # type: ignore[import-not-found]

from ops.bench.meter import Meter, leave
from ops.bench.peers.arguments import Arguments
from ops.bench.work import REQUEST_TOPICS, handle
from topics.headers import CE_SOURCE, CE_SPECVERSION, CE_TYPE, ce_type
from topics.names import RESPONSES

_BATCH = 200  # of about 900 bytes: within the producer's batch, beyond which publish_batch raises
_HEADERS = {CE_SPECVERSION: "1.0", CE_TYPE: ce_type("response"), CE_SOURCE: "/headrace"}

_log = logging.getLogger("faststream")
_log.setLevel(logging.ERROR)

given, meter = Arguments.read(), Meter()
in_batches = "--batches" in sys.argv
broker = KafkaBroker(given.servers, linger_ms=5, acks="all", max_batch_size=262_144, apply_types=False, logger=_log)
count = 0


async def as_it_came(message: Any) -> Any:
    """The records; by default it would hand over their bodies alone."""
    return message.raw_message


@broker.subscriber(  # type: ignore[untyped-decorator]
    *REQUEST_TOPICS,
    group_id=given.group,
    batch=True,
    auto_offset_reset="earliest",
    auto_commit_interval_ms=1000,
    max_records=2000,
    decoder=as_it_came,
)
async def answer(records: list[Any]) -> None:
    global count
    meter.begin()
    await asyncio.gather(*(await (publish_batches(records) if in_batches else publish_each(records))))
    count += len(records)
    if count >= given.records:
        meter.end(count)
        leave()


async def publish_each(records: list[Any]) -> list[Any]:
    acks = []
    for record in records:
        key, value, headers = handle(record.topic, record.partition, record.offset, record.timestamp, record.value)
        named = {name: text.decode() for name, text in headers}
        acks.append(await broker.publish(value, RESPONSES, key=key, headers=named, no_confirm=True))
    return acks


async def publish_batches(records: list[Any]) -> list[Any]:
    acks = []
    for start in range(0, len(records), _BATCH):
        made = []
        for record in records[start : start + _BATCH]:
            key, value, _ = handle(record.topic, record.partition, record.offset, record.timestamp, record.value)
            made.append(KafkaPublishMessage(value, key=key))
        to = records[start].partition
        acks.append(await broker.publish_batch(*made, topic=RESPONSES, partition=to, headers=_HEADERS, no_confirm=True))
    return acks


async def main() -> None:
    await broker.start()
    await asyncio.Event().wait()


asyncio.run(main())
