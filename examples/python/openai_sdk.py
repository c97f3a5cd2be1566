"""How do I use an OpenAI client? By its base URL alone: `headrace front` speaks its API. Needs `pip install openai`.

    python openai_sdk.py

The front is HEADRACE_FRONT, by default http://127.0.0.1:4000. HEADRACE_KEY is a key of `headrace keys create`, if it wants one.
"""

import asyncio
import os

from openai import APIStatusError, AsyncOpenAI

FRONT = os.environ.get("HEADRACE_FRONT", "http://127.0.0.1:4000")
KEY = os.environ.get("HEADRACE_KEY", "none")


async def main() -> None:
    messages = [{"role": "user", "content": "What is a headrace?"}]
    async with AsyncOpenAI(base_url=f"{FRONT}/v1", api_key=KEY) as client:
        raw = await client.chat.completions.with_raw_response.create(
            model="small",
            messages=messages,
            max_tokens=64,
            service_tier="priority",  # class high; "flex" is low
            user="agent-17",
            extra_headers={"idempotency-key": "order-17"},  # a retry gets this answer
        )
        print(f"answered by {raw.headers['x-headrace-provider']}: {raw.parse().choices[0].message.content}")

        stream = await client.chat.completions.create(model="small", messages=messages, max_tokens=64, stream=True)
        told = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
        print(f"streamed: {told}")

        vectors = await client.embeddings.create(model="small", input=["a water wheel", "a channel"])
        print(f"embeddings: {len(vectors.data)}")
        try:
            await client.chat.completions.create(model="small", messages=[])
        except APIStatusError as error:
            print(f"refused: {error.status_code} {error.type}")


if __name__ == "__main__":
    asyncio.run(main())
