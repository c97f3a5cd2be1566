"""Can I do without the client? Yes: one request and its answer with aiokafka alone. Needs `pip install aiokafka xxhash`.

    python plain_aiokafka.py "What is a headrace?"

The broker is KAFKA_BOOTSTRAP_SERVERS, by default 127.0.0.1:9092.
"""

import asyncio
import json
import os
import random
import sys
import uuid
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from xxhash import xxh64_intdigest


def partitioner(key: bytes | None, partitions: Sequence[int], available: Sequence[int]) -> int:
    """The contract's partitioner. Any other one works too; with this one an agent stays with one worker."""
    if key is None:
        return random.choice(available or partitions)
    number, bucket, candidate = xxh64_intdigest(key, 0), -1, 0
    while candidate < len(partitions):
        bucket = candidate
        number = (number * 2862933555777941757 + 1) % 2**64
        candidate = int((bucket + 1) * (2**31 / ((number >> 33) + 1)))
    return bucket


async def ask(question: str) -> None:
    brokers = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")
    agent_id, request_id = "agent-17", str(uuid.uuid4())
    request = {
        "request_id": request_id,
        "agent_id": agent_id,
        "timeout_s": 30,
        "payload": {"model": "small", "messages": [{"role": "user", "content": question}], "max_tokens": 64},
    }
    # Without a group: this process alone reads all partitions. A service would use a group and keep what is not its own.
    answers = AIOKafkaConsumer("agent.responses", bootstrap_servers=brokers)
    async with answers, AIOKafkaProducer(bootstrap_servers=brokers, partitioner=partitioner, acks="all") as producer:
        await answers.seek_to_end()  # before the request is sent, so that its answer cannot be missed
        value = json.dumps(request).encode()
        sent = await producer.send_and_wait("agent.requests.normal", value, key=agent_id.encode())
        # The place of our record: anybody can send a request under our request_id, and nobody else has this one.
        event_id = f"{sent.topic}:{sent.partition}:{sent.offset}".encode()
        async with asyncio.timeout(60):
            async for record in answers:
                if dict(record.headers).get("ce_id") == event_id:  # at least once: the first answer counts
                    print(json.dumps(json.loads(record.value), indent=2))
                    return


if __name__ == "__main__":
    asyncio.run(ask(" ".join(sys.argv[1:]) or "What is a headrace?"))
