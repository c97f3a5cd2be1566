"""What can go wrong, and what do I do then?

python deadlines_and_errors.py
"""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from typing import Any

from headrace_client import AnswerError, Expired, Headrace, NoAnswer, NotPublished, ProviderError, Rejected

BROKERS = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")


async def tell(client: Headrace, title: str, payload: dict[str, Any], deadline: datetime) -> None:
    try:
        answer = await client.ask(payload, deadline=deadline)
        print(f"{title}: ok, {answer.usage.completion_tokens} tokens")
    except Expired as error:  # its time ran out, in the queue or in a call, which was then cancelled
        print(f"{title}: expired, {error.message}")
    except Rejected as error:  # the request itself is wrong: do not try it again
        print(f"{title}: rejected, {error.message}")
    except ProviderError as error:  # the provider's doing; retryable says whether the same may succeed later
        print(f"{title}: {error.type}, retryable: {error.retryable}")
    except AnswerError as error:  # queue_full, exceeds_limit, ...
        print(f"{title}: {error.type}, retryable: {error.retryable}")
    except NotPublished as error:  # the broker has not confirmed it: publish it again under the same request_id
        print(f"{title}: not published, {error}")
    except NoAnswer as error:  # nothing came, not even "expired": is the fleet down?
        print(f"{title}: {error}")


async def main() -> None:
    chat = {"model": "small", "messages": [{"role": "user", "content": "How late is it?"}], "max_tokens": 16}
    async with Headrace(BROKERS, agent_id="agent-17") as client:
        soon = datetime.now(UTC) + timedelta(seconds=30)
        await tell(client, "in time", chat, soon)
        await tell(client, "too late", chat, datetime.now(UTC) - timedelta(seconds=1))
        await tell(client, "no model", {"messages": chat["messages"]}, soon)
        # The provider simulator does what this says; a real provider ignores it or refuses it.
        await tell(client, "refused", {**chat, "headrace_sim": {"status": 400}}, soon)


if __name__ == "__main__":
    asyncio.run(main())
