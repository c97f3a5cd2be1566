"""How do I read an answer as it is written, over Kafka? Its deltas come on `agent.deltas`; the answer fills what is lost.

python stream.py "What is a headrace?"
"""

import asyncio
import os
import sys

from headrace_client import Headrace, Restarted

BROKERS = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")


async def main() -> None:
    question = " ".join(sys.argv[1:]) or "What is a headrace?"
    payload = {"model": "small", "messages": [{"role": "user", "content": question}], "max_tokens": 64}
    async with Headrace(BROKERS, agent_id="agent-17") as client, client.stream(payload, timeout_s=30) as stream:
        told = ""
        async for event in stream:  # raises what `ask` raises; ends once
            if isinstance(event, Restarted):  # only where providers[].stream_on_loss is "restart"
                print("\n(again)")
                told = ""
            else:
                print(event.text, end="", flush=True)
                told += event.text
        answer = await stream.answer()
        print(f"\nall of it: {told == answer.text}, {answer.usage.completion_tokens} tokens")


if __name__ == "__main__":
    asyncio.run(main())
