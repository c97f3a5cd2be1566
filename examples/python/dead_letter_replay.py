"""How do I mend a dead letter and send it again?

    python dead_letter_replay.py

A request that can never be carried out is answered `rejected`, and kept on `agent.requests.dlq` with key, value and headers as
they were, and with headers that say why. `headrace dlq list`, `show` and `replay` do the same by hand.
"""

import asyncio
import json
import os

from aiokafka import AIOKafkaConsumer

from headrace_client import Headrace, Rejected

BROKERS = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")


async def main() -> None:
    letters = AIOKafkaConsumer("agent.requests.dlq", bootstrap_servers=BROKERS)
    async with letters, Headrace(BROKERS, agent_id="agent-17") as client:
        await letters.seek_to_end()
        broken = {"messages": [{"role": "user", "content": "Which model am I for?"}], "max_tokens": 16}
        try:
            await client.ask(broken)
        except Rejected as error:
            print(f"rejected: {error.message}")
            event_id = error.answer.event_id
        async with asyncio.timeout(60):
            async for record in letters:
                headers = {name: value.decode() for name, value in record.headers}
                if f"{headers['dlq_topic']}:{headers['dlq_partition']}:{headers['dlq_offset']}" == event_id:
                    break
        print(f"dead letter: {headers['dlq_reason']}, {headers['dlq_error_message']}")
        request = json.loads(record.value)
        mended = {**request["payload"], "model": "small"}
        answer = await client.ask(mended, agent_id=request["agent_id"], request_id=request["request_id"])
        print(f"replayed as {answer.event_id}: {answer.status}")


if __name__ == "__main__":
    asyncio.run(main())
