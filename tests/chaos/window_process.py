"""A process that makes windows and nothing else: `python -m tests.chaos.window_process BOOTSTRAP GROUP`."""

import asyncio
import sys

from aiokafka import AIOKafkaProducer

from streams.app import producer_options
from streams.metrics.window_service import WindowService
from streams.settings import Settings


async def main(bootstrap_servers: str, group_id: str) -> None:
    settings = Settings.model_validate({"kafka": {"bootstrap_servers": bootstrap_servers, "session_timeout": "3s"}})
    async with (
        AIOKafkaProducer(**producer_options(settings)) as producer,
        WindowService(settings, group_id, producer) as service,
    ):
        await service.wait_stopped()


asyncio.run(main(*sys.argv[1:]))
