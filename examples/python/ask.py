"""How do I ask a question and await its answer?

python ask.py "What is a headrace?"
"""

import asyncio
import os
import sys

from headrace_client import Headrace

BROKERS = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")


async def main() -> None:
    question = " ".join(sys.argv[1:]) or "What is a headrace?"
    payload = {"model": "small", "messages": [{"role": "user", "content": question}], "max_tokens": 64}
    async with Headrace(BROKERS, agent_id="agent-17") as client:
        answer = await client.ask(payload, timeout_s=30)
        print(answer.text)
        print(f"from {answer.provider}, {answer.usage.total_tokens} tokens, cache: {answer.cache}")


if __name__ == "__main__":
    asyncio.run(main())
