"""A fleet with tenants on a broker, and who asks it as each of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer

from ops.brokers import Broker
from tests.support.pipeline import Pipeline, delete_topics, make_topics, wait_until
from tests.support.positions import read_all
from tests.support.simulator import Simulator
from topics import contract_partitioner
from topics.names import Priority, TopicNames

Headers = Sequence[tuple[str, bytes]]


class Callers:
    """Writes requests as a tenant's principals would, and reads what came back."""

    def __init__(self, pipeline: Pipeline, producer: AIOKafkaProducer) -> None:
        self.pipeline = pipeline
        self.names = pipeline.names
        self._producer = producer

    async def send(
        self, tenant: str, value: dict[str, Any] | bytes, priority: Priority = "normal", headers: Headers = ()
    ) -> str:
        """Send a request; its `topic:partition:offset`."""
        raw = value if isinstance(value, bytes) else orjson.dumps(value)
        topic = self.names.requests_of(tenant)[priority]
        at = await self._producer.send_and_wait(topic, raw, key=b"agent", headers=list(headers))
        return f"{at.topic}:{at.partition}:{at.offset}"

    async def answers(self, topic: str, count: int, within_s: float = 30.0) -> dict[str, dict[str, Any]]:
        """The answers on a topic by the record that they answer, once there are so many."""
        found: dict[str, dict[str, Any]] = {}

        async def all_are_there() -> bool:
            for each in await read_all(self.pipeline.client_options, [topic]):
                found[dict(each.headers)["ce_id"].decode()] = orjson.loads(each.value)
            return len(found) >= count

        await wait_until(all_are_there, within_s)
        return found


def asking(content: str, request_id: str | None = None, **fields: Any) -> dict[str, Any]:
    payload = {
        "model": "small",
        "messages": [{"role": "user", "content": content}],
        "max_tokens": 8,
        "headrace_sim": {"id": content, "completion_tokens": 8},
    }
    return {"payload": payload, "agent_id": "agent", **({"request_id": request_id} if request_id else {}), **fields}


@asynccontextmanager
async def open_callers(kafka: Broker, tmp_path: Path, prefix: str, tenants: tuple[str, ...]) -> AsyncIterator[Callers]:
    """The topics of these tenants behind a prefix of their own, and a simulated provider; all of it ends with the context."""
    async with AsyncExitStack() as stack:
        names = TopicNames.behind(f"{prefix}.", tenants)
        simulator = await stack.enter_async_context(Simulator(tmp_path))
        pipeline = Pipeline(kafka, f"{names.prefix}headrace-workers", tmp_path, simulator, names)
        stack.push_async_callback(delete_topics, pipeline.client_options, names.all)
        await make_topics(pipeline.client_options, names)
        producer = AIOKafkaProducer(**pipeline.client_options, partitioner=contract_partitioner, linger_ms=5)
        await producer.start()
        stack.push_async_callback(producer.stop)
        yield Callers(pipeline, producer)
