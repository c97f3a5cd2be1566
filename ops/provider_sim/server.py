"""The simulator over HTTP/1.1: the server around the service, start and stop."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson
from aiohttp import web

from ops.provider_sim.ledger import Ledger
from ops.provider_sim.reply import JSON
from ops.provider_sim.service import Service
from ops.provider_sim.settings import SimSettings

MAX_BODY_BYTES = 16 * 1024 * 1024
_BACKLOG = 1024


class ProviderSim:
    """A simulator for the time of an `async with` block; `url` is its base, with `/v1`, once it listens.

    `admin_url` is a port of its own on loopback with `/admin/...` alone, which answers during every outage; the main port
    has the same paths.

    Args:
        settings: latency model, limits and faults at the start, and again after `POST /admin/reset`.
        host: to listen on; loopback unless told otherwise.
        port: 0 chooses a free one.
        ledger: file to append every call to, see `Ledger`.

    Raises:
        OSError: (at entering) the port is taken, or the ledger cannot be written.
    """

    def __init__(
        self, settings: SimSettings | None = None, *, host: str = "127.0.0.1", port: int = 0, ledger: Path | None = None
    ) -> None:
        self._at_start = settings or SimSettings()
        self._host, self._port, self._ledger_path = host, port, ledger
        self.url = self.admin_url = ""

    @property
    def settings(self) -> SimSettings:
        return self._service.settings

    async def set(self, **changed: object) -> None:
        """Change settings at run time, as `POST /admin/config` does."""
        await self._service.set(SimSettings.model_validate(self.settings.model_dump() | changed))

    async def __aenter__(self) -> Self:
        self.ledger = Ledger(self._ledger_path)
        self._service = Service(self._at_start, self.ledger)
        self._service.on_change = self._follow_outage
        self._runner = await _runner(self._handle)
        self._admin_runner = await _runner(self._admin)
        self._site: web.TCPSite | None = None
        try:
            await self._listen()
            await web.TCPSite(self._admin_runner, "127.0.0.1", 0).start()
        except OSError:
            await self._close()
            raise
        self.url = f"http://{address(*self._runner.addresses[0][:2])}/v1"
        self.admin_url = f"http://{address(*self._admin_runner.addresses[0][:2])}/admin"
        self._port = self._runner.addresses[0][1]  # the same one again after an outage
        await self._follow_outage()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        for runner in (self._runner, self._admin_runner):
            await runner.cleanup()
        self.ledger.close()

    async def _listen(self) -> None:
        self._site = web.TCPSite(self._runner, self._host, self._port, backlog=_BACKLOG)
        await self._site.start()

    async def _follow_outage(self) -> None:
        """Nobody listens during the outage `refuse`, and who was connected is cut off."""
        refuse = self.settings.outage == "refuse"
        if refuse and self._site is not None:
            site, self._site = self._site, None
            await site.stop()
            assert self._runner.server is not None
            for connection in list(self._runner.server.connections):
                if connection.transport is not None:
                    _reset(connection.transport)
        elif not refuse and self._site is None:
            await self._listen()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/admin/"):
            return await self._admin(request)
        if request.transport is not None:
            self.ledger.met(request.transport.get_extra_info("peername") or ())
        reply = _AiohttpReply(request)
        headers = {name.lower(): value for name, value in request.headers.items()}
        await self._service.handle(
            request.method, request.path, headers, await request.read(), reply, dict(request.query)
        )
        return reply.response

    async def _admin(self, request: web.Request) -> web.StreamResponse:
        status, found = await self._service.admin(request.method, request.path, await request.read())
        return web.Response(body=orjson.dumps(found), status=status, headers=JSON)


async def _runner(handle: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.AppRunner:
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.router.add_route("*", "/{path:.*}", handle)
    # A call whose caller went away is cancelled: its end belongs in the ledger, and its sleep need not go on.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5, auto_decompress=False)
    await runner.setup()
    return runner


class _AiohttpReply:
    """An answer through aiohttp. `response` is what the handler returns: aiohttp sends what was not sent yet."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.response: web.StreamResponse = web.Response()

    async def send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.response = web.Response(body=body, status=status, headers=headers)

    async def begin(self, status: int, headers: Mapping[str, str], size: int | None) -> None:
        self.response = web.StreamResponse(status=status, headers=headers)
        self.response.content_length = size
        await self.response.prepare(self._request)

    async def write(self, chunk: bytes) -> None:
        await self.response.write(chunk)

    async def end(self) -> None:
        await self.response.write_eof()

    def cut(self) -> None:
        if self._request.transport is not None:
            self._request.transport.close()

    def reset(self) -> None:
        if self._request.transport is not None:
            _reset(self._request.transport)


def _reset(transport: asyncio.Transport) -> None:
    """Closing a socket that lingers for 0 s sends RST in place of FIN."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
