"""How do I cancel what nobody waits for any more? A queued request is not called, a call under way is closed.

    python cancel.py

To cancel an `asyncio` task that awaits an answer ends the wait, not the request. `headrace cancel ID` does the same by hand.
"""

import asyncio
import os
import uuid

from headrace_client import Cancelled, Headrace

BROKERS = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")


async def main() -> None:
    # The provider simulator takes this long; a real provider ignores it or refuses it.
    slow = {"headrace_sim": {"latency_ms": 20_000}}
    payload = {
        "model": "small",
        "messages": [{"role": "user", "content": "Tell me everything"}],
        "max_tokens": 64,
        **slow,
    }
    async with Headrace(BROKERS, agent_id="agent-17") as client:
        request_id = str(uuid.uuid4())
        asking = asyncio.create_task(client.ask(payload, request_id=request_id))
        await asyncio.sleep(1)
        await client.cancel(
            request_id, reason="the user closed the window"
        )  # from any process that may write agent.cancels
        try:
            await asking
        except Cancelled as error:  # or the answer, where that was faster
            print(f"cancelled: {error.message}")
        async with client.stream(payload) as stream:
            await stream.cancel("enough")
            try:
                await stream.answer()
            except Cancelled:
                print("the stream has ended")


if __name__ == "__main__":
    asyncio.run(main())
