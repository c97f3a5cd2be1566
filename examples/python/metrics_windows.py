"""How do I follow the fleet's metrics on Kafka? Read `metrics.windows`, one record a minute and worker, and one `fleet`.

    python metrics_windows.py

They are merged from 10 s samples by the control process (`headrace control`, part of `headrace up`); docs/metrics.md.
"""

import asyncio
import json
import os

from aiokafka import AIOKafkaConsumer

BROKERS = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")


async def main() -> None:
    windows = AIOKafkaConsumer("metrics.windows", bootstrap_servers=BROKERS, auto_offset_reset="earliest")
    async with windows, asyncio.timeout(180):
        async for record in windows:
            if record.key != b"fleet":
                continue
            window = json.loads(record.value)
            print(json.dumps(window, indent=2)[:2000])
            return


if __name__ == "__main__":
    asyncio.run(main())
