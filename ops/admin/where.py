"""Where a request is now, by the worker that owns its partition: what `POST /requests` of its health server tells.

The question and whom to ask are those of the fronts (docs/waiting.md); here the whole answer is read, for operators.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

import orjson
from aiohttp import ClientError, ClientSession, ClientTimeout
from pydantic import TypeAdapter, ValidationError

from ops.admin.ask_workers import is_out_of_reach
from schemas.metric_sample import MetricSample
from streams.front.worker_directory import Directory
from streams.waits import Told

_TOLD: Final = TypeAdapter(list[Told])
_WITHIN_S: Final = 2.0
_MOST_BYTES: Final = 100_000
_KNOWS_NOTHING: Final = frozenset({"unknown", "elsewhere"})


async def look(address: str, request_id: str, record: str | None) -> Told | None:
    """What the worker at HOST:PORT says of it; None where it knows nothing. Raises OSError, in words, where none answers."""
    body = orjson.dumps({"requests": [{"id": request_id, "record": record}]})
    headers = {"content-type": "application/json"}
    try:
        async with (
            ClientSession(timeout=ClientTimeout(_WITHIN_S), trust_env=False) as session,
            session.post(f"http://{address}/requests", data=body, headers=headers, allow_redirects=False) as answer,
        ):
            answer.raise_for_status()
            (told,) = _TOLD.validate_json(await answer.content.read(_MOST_BYTES))
    except (ClientError, TimeoutError, ValueError, ValidationError) as error:
        raise OSError(f"no worker answers at {address}: its log line `ready` names its address") from error
    return None if told.stage in _KNOWS_NOTHING else told


async def where_is(samples: Iterable[MetricSample], request_id: str, record: str | None, now: float) -> Told | None:
    """What the owner of its partition says, or whoever knows it where the record is not known. Raises nothing."""
    directory = Directory()
    for each in samples:
        if not is_out_of_reach(each):
            directory.note(each.worker_id, each.address, each.owned, each.at.timestamp())
    asked = [look(address, request_id, record) for address in directory.addresses(record, now)]
    found = await asyncio.gather(*asked, return_exceptions=True)
    told = [each for each in found if isinstance(each, Told)]
    # A worker that has it knows more than one that sees its record on a partition alone.
    return max(told, key=lambda each: each.stage not in ("finished", "unread"), default=None)


def sentence(told: Told) -> str:
    """For people.

    >>> sentence(Told("r", "queue", "turn", "it is about to go", position=3, predicted_s=4.13))
    'it waits: it is about to go (turn); place 3, predicted 4.1 s'
    """
    stage = {
        "unread": "it is still in Kafka",
        "received": "a worker has read it",
        "cache": "it is looked up in the cache",
        "joined": "it waits for an identical call",
        "queue": "it waits",
        "call": f"its call is under way at {told.endpoint or 'a provider'}, attempt {max(1, told.attempts)}",
        "delivering": "its answer is on its way",
        "finished": "it has its answer",
    }.get(told.stage, told.stage)
    why = f": {told.words}" + (f" ({told.reason})" if told.reason else "") if told.words else ""
    more = [] if told.position is None else [f"place {told.position}"]
    more += [] if told.predicted_s is None else [f"predicted {told.predicted_s:.1f} s"]
    return stage + why + (f"; {', '.join(more)}" if more else "")
