"""Endpoints of providers: asked of a running worker, and checked from here."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

import orjson
from aiohttp import ClientError, ClientSession, ClientTimeout
from pydantic import TypeAdapter, ValidationError

from ops.admin.records import open_reader, partitions_of, read_until
from schemas.metric_sample import MetricSample, parse_metric_sample
from streams.kafka.list_offsets import end_offsets
from streams.providers.build import open_providers
from streams.providers.endpoint import Endpoint
from streams.providers.stats import EndpointStats
from streams.settings import Settings

PATH = "/providers"
DRAIN_PATH = "/providers/drain"

_SAMPLES: Final = 3
_MOST_ASKED: Final = 64
_STATS = TypeAdapter(list[EndpointStats])


async def look(address: str) -> list[EndpointStats]:
    """The endpoints as the worker at HOST:PORT knows them. Raises OSError, in words, where no worker answers."""
    return await _ask(address, "GET", PATH)


async def drain(address: str, endpoint: str, *, draining: bool, token: str | None = None) -> list[EndpointStats]:
    """Have the worker give the endpoint no new calls, or calls again; one on another machine wants the token. Raises OSError, in
    words.
    """
    body = orjson.dumps({"endpoint": endpoint, "draining": draining})
    return await _ask(address, "POST", DRAIN_PATH, body, token)


async def calls_to(settings: Settings, endpoint: str) -> tuple[int, int]:
    """Calls under way to an endpoint, and how many workers could be asked: by the addresses in their newest samples.

    Raises ProvisionError.
    """
    calls = asked = 0
    for address in await worker_addresses(settings):
        try:
            found = await look(address)
        except OSError:
            continue
        asked += 1
        names = endpoint.rstrip("/")
        calls += sum(each.in_flight for each in found if names in (each.url, f"{each.provider}/{each.url}"))
    return calls, asked


async def worker_addresses(settings: Settings) -> list[str]:
    """Where workers that have sent a sample lately say that they may be asked; 64 at most. Raises ProvisionError."""
    addresses: dict[str, str] = {}
    lately_s = _SAMPLES * settings.metrics.interval
    async with open_reader(settings.kafka.client_options()) as consumer:
        partitions = await partitions_of(consumer, [settings.topics.names.metric_samples])
        ends = await end_offsets(consumer, partitions)
        since_ms = round((time.time() - lately_s) * 1000)
        found = await consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
        begins = {each: ends[each] if found[each] is None else found[each].offset for each in partitions}
        async for record in read_until(consumer, begins, ends):
            try:
                sample = parse_metric_sample(record.value or b"")
            except ValueError:
                continue
            if isinstance(sample, MetricSample) and sample.address is not None:
                addresses[sample.worker_id] = sample.address
    return list(dict.fromkeys(addresses.values()))[:_MOST_ASKED]


async def _ask(
    address: str, method: str, path: str, body: bytes | None = None, token: str | None = None
) -> list[EndpointStats]:
    headers = {} if body is None else {"content-type": "application/json"}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    try:
        async with (
            ClientSession(timeout=ClientTimeout(5)) as session,
            session.request(method, f"http://{address}{path}", data=body, headers=headers) as answer,
        ):
            said = await answer.read()
            if answer.status in (400, 403):
                raise OSError(orjson.loads(said)["error"])
            answer.raise_for_status()
            return _STATS.validate_json(said)
    except (ClientError, TimeoutError, ValueError, ValidationError) as error:
        raise OSError(f"no worker answers at {address}: its log line `ready` names its address") from error


@dataclass(frozen=True, slots=True)
class FleetEndpoint:
    """One endpoint, as all workers that could be asked know it: `states` says how many see it in which state."""

    provider: str
    name: str
    url: str
    states: dict[str, int]
    weight: int
    in_flight: int
    free: int
    last_check: str | None
    last_check_ms: float | None
    set_aside: list[str]

    @property
    def state(self) -> str:
        """In words: one state, or how many see which."""
        if len(self.states) == 1:
            return next(iter(self.states))
        return ", ".join(f"{state} at {count}" for state, count in sorted(self.states.items()))


def together(told: Sequence[Sequence[EndpointStats]]) -> list[FleetEndpoint]:
    """What several workers say of their endpoints, by endpoint, in the order of the first."""
    by_endpoint: dict[tuple[str, str], list[EndpointStats]] = {}
    for stats in told:
        for each in stats:
            by_endpoint.setdefault((each.provider, each.label), []).append(each)
    return [
        FleetEndpoint(
            provider=provider,
            name=label,
            url=seen[0].url,
            states=dict(Counter(each.state for each in seen)),
            weight=seen[0].weight,
            in_flight=sum(each.in_flight for each in seen),
            free=sum(each.free for each in seen),
            last_check=next((each.last_check for each in seen if each.last_check is not None), None),
            last_check_ms=next((each.last_check_ms for each in seen if each.last_check_ms is not None), None),
            set_aside=sorted({why for each in seen for why in each.set_aside}),
        )
        for (provider, label), seen in by_endpoint.items()
    ]


@dataclass(frozen=True, slots=True)
class Found:
    """One endpoint, as it answered from here."""

    provider: str
    url: str
    well: bool
    status: int | None
    error: str | None
    took_ms: float


async def check(settings: Settings) -> list[Found]:
    """Ask every endpoint of the settings once what a worker's health check asks, with its key and certificates."""
    async with AsyncExitStack() as stack:
        providers = await open_providers(settings, stack)
        timeout_s = settings.routing.health_check.timeout

        async def one(endpoint: Endpoint) -> Found:
            found = await endpoint.client.check(timeout_s)
            took_ms = round(found.took_s * 1000, 1)
            return Found(endpoint.provider, endpoint.label, found.well, found.status, found.error, took_ms)

        endpoints = [endpoint for provider in providers.all for endpoint in provider.endpoints]
        return await asyncio.gather(*map(one, endpoints))
