"""How do I read my own answers only? Name a topic of your own: `agent.responses.` and a name. It must exist.

python own_reply_topic.py
"""

import asyncio
import os

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from headrace_client import Headrace

BROKERS = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")
TOPIC = "agent.responses.example"


async def make_topic() -> None:
    """In production your operators make it, with the retention and the rights that you need."""
    admin = AIOKafkaAdminClient(bootstrap_servers=BROKERS)
    await admin.start()
    try:
        if TOPIC not in await admin.list_topics():
            # Answers take up to 2 MiB; LogAppendTime, as the fleet's own response topic.
            configs = {"max.message.bytes": str(2 * 2**20), "message.timestamp.type": "LogAppendTime"}
            await admin.create_topics([NewTopic(TOPIC, 3, 1, topic_configs=configs)])
        while TOPIC not in await admin.list_topics():  # noqa: ASYNC110 - the broker has no event for us
            await asyncio.sleep(0.1)
    finally:
        await admin.close()


async def main() -> None:
    await make_topic()
    payload = {"model": "small", "messages": [{"role": "user", "content": "Where do you answer?"}], "max_tokens": 16}
    async with Headrace(BROKERS, agent_id="agent-17", reply_topic=TOPIC) as client:
        answer = await client.ask(payload)
        print(f"answered on {client.reply_topic}: {answer.text}")


if __name__ == "__main__":
    asyncio.run(main())
