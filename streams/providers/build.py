"""Providers from the settings: transports, keys, slots."""

from __future__ import annotations

import ssl
import time
from contextlib import AsyncExitStack
from functools import partial
from urllib.parse import urlsplit

import httpx2

from streams.providers.aiohttp_transport import AiohttpTransport
from streams.providers.endpoint import Endpoint
from streams.providers.providers import Provider, Providers
from streams.providers.retry import RetryPolicy
from streams.providers.sharded_transport import POOL_CALLS, ShardedTransport
from streams.settings import Settings, SettingsError


async def open_providers(settings: Settings, stack: AsyncExitStack) -> Providers:
    """The providers that the settings name; their connections close with `stack`.

    Slots are held here, before the client: a request that queues inside an HTTP pool costs it a walk over all its
    connections. Raises SettingsError for a key that is not there.
    """
    built = []
    tls = ssl.create_default_context()
    for provider in settings.providers:
        if provider.format != "openai":
            raise SettingsError(
                f'providers.{provider.name}.format: "{provider.format}" is not served yet; use "openai"'
            )
        per_host = min(provider.connections.per_host, settings.concurrency.per_host)
        by_host: dict[str, int] = {}
        for endpoint in provider.endpoints:
            host = _host(endpoint.url)
            by_host[host] = by_host.get(host, 0) + 1
        transports: dict[bool, httpx2.AsyncBaseTransport] = {}
        endpoints = []
        for endpoint in provider.endpoints:
            multiplexed = settings.network.multiplexing and urlsplit(endpoint.url).scheme == "https"
            if multiplexed not in transports:
                made = _multiplexed(settings, tls) if multiplexed else _plain(settings, provider.connections.max, tls)
                transports[multiplexed] = await stack.enter_async_context(made)
            slots = max(1, per_host // by_host[_host(endpoint.url)])
            endpoints.append(
                Endpoint(
                    provider.name,
                    endpoint.url,
                    transports[multiplexed],
                    endpoint.headers,
                    slots,
                    settings.requests.max_answer_bytes,
                    endpoint.api_key(),
                )
            )
        retry = RetryPolicy(provider.retry.max_attempts, provider.retry.base_delay, provider.retry.max_delay)
        built.append(
            Provider(provider.name, provider.models, endpoints, provider.connections.max, provider.timeout, retry)
        )
    return Providers(built, time.time)


def _plain(settings: Settings, connections: int, tls: ssl.SSLContext) -> httpx2.AsyncBaseTransport:
    """For endpoints that speak no HTTP/2: one call a connection."""
    keep_alive = settings.network.keep_alive
    return AiohttpTransport(connections, keep_alive.timeout if keep_alive.enabled else None, tls)


def _multiplexed(settings: Settings, tls: ssl.SSLContext) -> httpx2.AsyncBaseTransport:
    """For endpoints that may speak HTTP/2, which they say in the TLS handshake."""
    keep_alive = settings.network.keep_alive
    limits = httpx2.Limits(
        max_connections=POOL_CALLS,
        max_keepalive_connections=POOL_CALLS if keep_alive.enabled else 0,
        keepalive_expiry=keep_alive.timeout,
    )
    # trust_env: a proxy variable meant for a shell must not send paid traffic elsewhere
    pool = partial(httpx2.AsyncHTTPTransport, verify=tls, http2=True, trust_env=False, limits=limits)
    return ShardedTransport(pool, keep_alive.timeout)


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
