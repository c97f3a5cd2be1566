"""How do I retry without being answered twice? Keep the request_id: whichever of its records is answered first counts.

    python idempotent_retry.py

The second record costs no second call to the provider where the cache may serve it: it joins the first call, or is served
its answer (docs/guarantee.md).
"""

import asyncio
import os
import uuid

from headrace_client import Answer, Headrace, NoAnswer, NotPublished

BROKERS = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")


async def ask_with_patience(client: Headrace, question: str) -> Answer:
    payload = {
        "model": "small",
        "messages": [{"role": "user", "content": question}],
        "temperature": 0,
        "max_tokens": 64,
    }
    request_id = str(uuid.uuid4())  # your own: an order number, a job's id; kept across restarts of this program
    for patience_s in (1, 5, 30):
        try:
            return await client.ask(payload, request_id=request_id, timeout_s=patience_s)
        except (NoAnswer, NotPublished) as error:
            print(f"again: {error}")
    raise TimeoutError(f"no answer to {request_id}")


async def main() -> None:
    async with Headrace(BROKERS, agent_id="agent-17", grace_s=2) as client:
        answer = await ask_with_patience(client, "Is this asked once?")
        print(f"answered once: {answer.request_id}, by record {answer.event_id}")
        # Two at the same time under one request_id are one record, too.
        payload = {"model": "small", "messages": [{"role": "user", "content": "Twins?"}], "max_tokens": 16}
        twins = str(uuid.uuid4())
        one, two = await asyncio.gather(client.ask(payload, request_id=twins), client.ask(payload, request_id=twins))
        print(f"one record: {one.event_id == two.event_id}")


if __name__ == "__main__":
    asyncio.run(main())
