"""How do I use an Anthropic client? By its base URL alone: `headrace front` speaks its API. Needs `pip install anthropic`.

    python anthropic_sdk.py

The front is HEADRACE_FRONT, by default http://127.0.0.1:4000. HEADRACE_KEY is a key of `headrace keys create`, if it wants one.
Which provider answers, OpenAI's API or Anthropic's, is the fleet's matter.
"""

import asyncio
import os

from anthropic import APIStatusError, AsyncAnthropic

FRONT = os.environ.get("HEADRACE_FRONT", "http://127.0.0.1:4000")
KEY = os.environ.get("HEADRACE_KEY", "none")


async def main() -> None:
    messages = [{"role": "user", "content": "What is a headrace?"}]
    async with AsyncAnthropic(base_url=FRONT, api_key=KEY) as client:
        message = await client.messages.create(model="small", max_tokens=64, system="Be brief.", messages=messages)
        print(f"answered ({message.stop_reason}): {message.content[0].text}")

        async with client.messages.stream(model="small", max_tokens=64, messages=messages) as stream:
            told = "".join([text async for text in stream.text_stream])
            final = await stream.get_final_message()
        print(f"streamed: {told == final.content[0].text}, {final.usage.output_tokens} tokens")

        counted = await client.messages.count_tokens(model="small", messages=messages)
        print(f"counted: {counted.input_tokens} tokens")
        try:
            await client.messages.create(model="small", max_tokens=0, messages=messages)
        except APIStatusError as error:
            print(f"refused: {error.status_code}")


if __name__ == "__main__":
    asyncio.run(main())
