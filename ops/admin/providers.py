"""Endpoints of providers: asked of a running worker, and checked from here."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass

import orjson
from aiohttp import ClientError, ClientSession, ClientTimeout
from pydantic import TypeAdapter, ValidationError

from streams.providers.build import open_providers
from streams.providers.endpoint import Endpoint
from streams.providers.stats import EndpointStats
from streams.settings import Settings

PATH = "/providers"
DRAIN_PATH = "/providers/drain"

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
            return Found(endpoint.provider, endpoint.url, found.well, found.status, found.error, took_ms)

        endpoints = [endpoint for provider in providers.all for endpoint in provider.endpoints]
        return await asyncio.gather(*map(one, endpoints))
