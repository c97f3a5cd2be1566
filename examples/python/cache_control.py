"""How do I say what may come from the cache? By request: mode `read_write` (the default), `read_only`, `write_only`, `off`.

python cache_control.py
"""

import asyncio
import os
import uuid

from headrace_client import Cache, Headrace

BROKERS = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")


async def main() -> None:
    question = f"What is new in {uuid.uuid4()}?"
    # Temperature 0: only what is asked to be reproducible is kept for others (docs/cache.md).
    payload = {
        "model": "small",
        "messages": [{"role": "user", "content": question}],
        "temperature": 0,
        "max_tokens": 4096,
    }
    async with Headrace(BROKERS, agent_id="agent-17") as client:
        first = await client.ask(payload, cache=Cache("read_write", ttl_s=300))
        print(f"first: cache {first.cache}, {first.attempts} call")
        second = await client.ask(payload)
        print(f"second: cache {second.cache}, {second.attempts} calls")
        fresh = await client.ask(payload, cache="off")
        print(f"off: cache {fresh.cache}, {fresh.attempts} call")


if __name__ == "__main__":
    asyncio.run(main())
