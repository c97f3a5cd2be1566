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


class SharedProducer(driver.Producer):  # type: ignore[misc]
    """Faust's producer service, around an aiokafka producer that somebody else starts and stops.

    The pipeline writes through that producer itself, before the app has started and until after it has stopped.
    """

    async def on_start(self) -> None:
        self._producer = self.transport.producer

    async def on_stop(self) -> None:
        self._producer = None

    async def flush(self) -> None:
        """Nothing to wait for: who sends awaits the ack, and a rebalance must not wait for a broker that is stuck."""


class RecordListTransport(driver.Transport):  # type: ignore[misc]
    """Set it as `app.transport` before the app starts."""

    Consumer = RecordListConsumer
    Producer = SharedProducer

    def __init__(self, app: Any, options: TransportOptions, producer: AIOKafkaProducer) -> None:
        self.options = options
        self.producer = producer
        super().__init__([URL("kafka://")], app)


class RecordListSchema(Schema):  # type: ignore[misc]
    """No decoding: the value of an event is record lists."""

    def compile(self, app: Any, **_: Any) -> Any:
        async def decode(message: Any, **_: Any) -> Event:
            return Event(app, None, message.value, {}, message)

        return decode
