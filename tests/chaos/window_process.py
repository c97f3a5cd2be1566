"""A process that makes windows and nothing else: `python -m tests.chaos.window_process SETTINGS GROUP`."""

import asyncio
import sys
from pathlib import Path

from aiokafka import AIOKafkaProducer

from streams.app import producer_options
from streams.settings import load_settings
from streams.windows.service import WindowService


async def main(settings_file: str, group_id: str) -> None:
    settings = load_settings(Path(settings_file))
    async with (
        AIOKafkaProducer(**producer_options(settings)) as producer,
        WindowService(settings, group_id, producer) as service,
    ):
        await service.wait_stopped()


asyncio.run(main(*sys.argv[1:]))
