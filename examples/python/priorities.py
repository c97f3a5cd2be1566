"""How do urgent requests overtake the others? Each class has a topic of its own; workers take 8 high : 3 normal : 1 low.

python priorities.py
"""

import asyncio
import os

from headrace_client import PRIORITIES, Headrace, Priority

BROKERS = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")


async def ask(client: Headrace, priority: Priority) -> None:
    messages = [{"role": "user", "content": f"A question of class {priority}"}]
    answer = await client.ask({"model": "small", "messages": messages, "max_tokens": 16}, priority=priority)
    assert answer.value is not None
    print(f"{priority}: {answer.status}, waited {answer.value['timing']['queue_ms']:.0f} ms in the queue")


async def main() -> None:
    async with Headrace(BROKERS, agent_id="agent-17") as client:
        await asyncio.gather(*(ask(client, priority) for priority in PRIORITIES))


if __name__ == "__main__":
    asyncio.run(main())
