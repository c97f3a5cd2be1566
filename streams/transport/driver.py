"""Faust's transport with record lists: which consumer and which producer an app gets."""

from __future__ import annotations

from typing import Any

from aiokafka import AIOKafkaProducer
from faust.events import Event
from faust.serializers.schemas import Schema
from faust.transport.drivers import aiokafka as driver
from yarl import URL

from streams.transport.consumer import RecordListConsumer
from streams.transport.options import TransportOptions


class RecordListProducer(driver.Producer):  # type: ignore[misc]
    """Faust's producer service around an aiokafka producer made from our own options."""

    def _new_producer(self, transactional_id: str | None = None) -> AIOKafkaProducer:
        return AIOKafkaProducer(**self.transport.options.producer)

    async def flush(self) -> None:
        """Nothing to wait for: whoever sends awaits the ack, and a rebalance must not wait for a broker that is stuck."""

    @property
    def client(self) -> AIOKafkaProducer:
        """The running aiokafka producer."""
        return self._ensure_producer()


class RecordListTransport(driver.Transport):  # type: ignore[misc]
    """Set it as `app.transport` before the app starts."""

    Consumer = RecordListConsumer
    Producer = RecordListProducer

    def __init__(self, app: Any, options: TransportOptions) -> None:
        self.options = options
        super().__init__([URL("kafka://" + options.consumer["bootstrap_servers"].split(",")[0])], app)


class RecordListSchema(Schema):  # type: ignore[misc]
    """No decoding: the value of an event is the record list."""

    def compile(self, app: Any, **_: Any) -> Any:
        async def decode(message: Any, **_: Any) -> Event:
            return Event(app, None, message.value, {}, message)

        return decode
