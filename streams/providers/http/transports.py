"""The transports of one provider: HTTP/1.1 by aiohttp, HTTP/2 by httpx2 where calls are many, with its TLS settings."""

from __future__ import annotations

import ssl
from contextlib import AsyncExitStack
from functools import partial
from urllib.parse import urlsplit

import httpx2

from streams.providers.http.aiohttp_transport import AiohttpTransport
from streams.providers.http.sharded_transport import POOL_CALLS, ShardedTransport
from streams.settings import Settings, SettingsError
from streams.settings.providers import Provider, ProviderTls


class Transports:
    """Made when the first endpoint asks for one; closed with `stack`."""

    def __init__(self, settings: Settings, provider: Provider, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._provider = provider
        self._open = AsyncExitStack()
        stack.push_async_exit(self._open)  # one that is made later must not be closed earlier
        self._made: dict[bool, httpx2.AsyncBaseTransport] = {}
        self._tls: ssl.SSLContext | None = None

    def of(self, url: str) -> httpx2.AsyncBaseTransport:
        """The transport for an address. SettingsError where a TLS file cannot be used."""
        multiplexed = urlsplit(url).scheme == "https" and self._shares()
        if multiplexed not in self._made:
            if self._tls is None:
                self._tls = tls_context(self._provider.name, self._provider.tls)
            made = self._multiplexed(self._tls) if multiplexed else self._plain(self._tls)
            self._open.push_async_exit(made)
            self._made[multiplexed] = made
        return self._made[multiplexed]

    def _shares(self) -> bool:
        """Whether as many calls may be under way to a host that they share connections: HTTP/1.1 costs about half of the
        CPU (docs/decisions/0026-http1-where-connections-suffice.md).
        """
        network, connections = self._settings.network, self._provider.connections
        calls = min(connections.per_host, connections.max, self._settings.concurrency.per_host)
        return network.multiplexing and calls >= network.multiplexing_from

    def _plain(self, tls: ssl.SSLContext) -> httpx2.AsyncBaseTransport:
        """One call a connection."""
        keep_alive = self._settings.network.keep_alive
        idle_s = min(keep_alive.timeout, self._settings.agents.connections.idle_timeout)
        keep = keep_alive.enabled and self._settings.pooling.connections
        return AiohttpTransport(self._provider.connections.max, idle_s if keep else None, tls)

    def _multiplexed(self, tls: ssl.SSLContext) -> httpx2.AsyncBaseTransport:
        """For endpoints that may speak HTTP/2, which they say in the TLS handshake."""
        idle_s = self._settings.agents.connections.idle_timeout
        keep = self._settings.network.keep_alive.enabled and self._settings.pooling.connections
        limits = httpx2.Limits(
            max_connections=POOL_CALLS, max_keepalive_connections=POOL_CALLS if keep else 0, keepalive_expiry=idle_s
        )
        # trust_env: a proxy variable meant for a shell must not send paid traffic elsewhere
        pool = partial(httpx2.AsyncHTTPTransport, verify=tls, http2=True, trust_env=False, limits=limits)
        return ShardedTransport(pool, idle_s)


def tls_context(provider: str, tls: ProviderTls) -> ssl.SSLContext:
    """What the settings say of TLS. SettingsError names the file that cannot be used."""
    named = tls.ca_file
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
        if tls.cert_file is not None:
            named = tls.cert_file
            context.load_cert_chain(tls.cert_file, tls.key_file)
    except OSError as error:  # ssl.SSLError is one
        why = error.strerror or "not a PEM file that fits"
        raise SettingsError(f"providers.{provider}.tls: {named} cannot be used: {why}") from error
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
