"""Options that both Kafka clients share, named as aiokafka names them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Coroutine, Mapping
from typing import Any, Final, TypedDict

_CANCEL_EVERY_S: Final = 0.1


class KafkaOptions(TypedDict, total=False):
    """What `Headrace` passes on to aiokafka's producer and consumer as it is; aiokafka's documentation explains each."""

    client_id: str
    security_protocol: str
    ssl_context: ssl.SSLContext
    sasl_mechanism: str
    sasl_plain_username: str
    sasl_plain_password: str
    sasl_kerberos_service_name: str
    sasl_kerberos_domain_name: str
    sasl_oauth_token_provider: Any
    request_timeout_ms: int
    retry_backoff_ms: int
    metadata_max_age_ms: int
    connections_max_idle_ms: int


_NAMES = frozenset(KafkaOptions.__annotations__)


def checked(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with our defaults. Raises TypeError for a name that is none of them."""
    unknown = sorted(set(options) - _NAMES)
    if unknown:
        raise TypeError(
            f"Headrace() takes no {', '.join(unknown)}; of aiokafka's options it takes {', '.join(sorted(_NAMES))}"
        )
    # 10 s instead of 300: a partition that was added, and a topic that was made anew, are seen before a request expires.
    return {"client_id": "headrace-client", "metadata_max_age_ms": 10_000, **options}


async def stop_within(stopping: Coroutine[Any, Any, None], within_s: float) -> bool:
    """Let a client stop by itself for so long, then make it. Whether it did by itself.

    aiokafka waits for requests under way, up to `request_timeout_ms` each and for ever where a batch is tried again
    (aio-libs/aiokafka#1101).
    """
    task = asyncio.create_task(stopping)
    await asyncio.wait([task], timeout=within_s)
    in_time = task.done()
    await end(task)
    return in_time


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task until it ends: one that awaits others while it is cancelled has to be told for each."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_CANCEL_EVERY_S)
    await asyncio.gather(task, return_exceptions=True)
