"""What a running worker says of its agents, read from its /agents."""

from __future__ import annotations

from aiohttp import ClientError, ClientSession, ClientTimeout
from pydantic import TypeAdapter, ValidationError

from streams.flow.stats import FlowStats

_STATS = TypeAdapter(FlowStats)


async def look(address: str) -> FlowStats:
    """The busiest agents of the worker at HOST:PORT. Raises OSError, in words, where no worker answers."""
    try:
        async with (
            ClientSession(timeout=ClientTimeout(5)) as session,
            session.get(f"http://{address}/agents") as answer,
        ):
            answer.raise_for_status()
            return _STATS.validate_json(await answer.read())
    except (ClientError, TimeoutError, ValueError, ValidationError) as error:
        raise OSError(f"no worker answers at {address}: its log line `ready` names its address") from error
