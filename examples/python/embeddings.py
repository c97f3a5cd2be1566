"""How do I get embeddings? They are an operation; the payload is the provider's request body, as everywhere.

python embeddings.py
"""

import asyncio
import os

from headrace_client import Headrace

BROKERS = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")


async def main() -> None:
    async with Headrace(BROKERS, agent_id="agent-17") as client:
        payload = {"model": "small", "input": ["a water wheel", "a channel that feeds it"]}
        answer = await client.ask(payload, operation="embeddings")
        for item in answer.payload["data"]:
            print(f"input {item['index']}: {len(item['embedding'])} dimensions")


if __name__ == "__main__":
    asyncio.run(main())
