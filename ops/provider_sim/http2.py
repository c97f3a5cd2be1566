"""The simulator over TLS and HTTP/2, with hypercorn: aiohttp, which serves HTTP/1.1, has no HTTP/2.

One connection carries many calls here, so that what breaks a connection elsewhere breaks one stream: a `reset` or
`truncated` answer ends before its promised length. Needs the extra `sim-http2`.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qsl

import orjson
from hypercorn.asyncio import serve
from hypercorn.config import Config

from ops.provider_sim.ledger import Ledger
from ops.provider_sim.reply import JSON
from ops.provider_sim.server import address
from ops.provider_sim.service import Service
from ops.provider_sim.settings import SimSettings

_GRACEFUL_S: Final = 0.2
_BACKLOG: Final = 1024

Scope = Mapping[str, Any]
Receive = Callable[[], Coroutine[Any, Any, dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Http2ProviderSim:
    """A simulator at `https://…/v1` for the time of an `async with` block. It takes HTTP/2 and HTTP/1.1, by the TLS handshake.

    `client_ca`: certificates that callers must show one of; None: they need none. Raises OSError where the port is taken or
    the certificate cannot be read. The outage `refuse` is not to be had here: nothing but the main port would end it.
    """

    def __init__(
        self,
        certificate: Path,
        key: Path,
        settings: SimSettings | None = None,
        *,
        client_ca: Path | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        ledger: Path | None = None,
    ) -> None:
        self._at_start = settings or SimSettings()
        self._host, self._port, self._ledger_path = host, port, ledger
        self._certificate, self._key = certificate, key
        self._client_ca = client_ca
        self.url = ""

    async def __aenter__(self) -> Self:
        self.ledger = Ledger(self._ledger_path)
        self.service = Service(self._at_start, self.ledger)
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listening = socket.create_server((self._host, self._port), family=family, backlog=_BACKLOG)
        self.url = f"https://{address(*listening.getsockname()[:2])}/v1"
        config = Config()
        config.bind, config.backlog = [f"fd://{listening.detach()}"], _BACKLOG
        config.certfile, config.keyfile = str(self._certificate), str(self._key)
        config.graceful_timeout, config.errorlog = _GRACEFUL_S, None
        if self._client_ca is not None:
            config.ca_certs, config.verify_mode = str(self._client_ca), ssl.CERT_REQUIRED
        config.create_ssl_context()  # what is wrong with the certificate is told here
        self._stop = asyncio.Event()
        self._server = asyncio.create_task(serve(self._app, config, shutdown_trigger=self._stop.wait))  # type: ignore[arg-type]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        with suppress(asyncio.CancelledError):
            await self._server
        self.ledger.close()

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = bytearray()
        while (message := await receive())["type"] == "http.request":
            body += message["body"]
            if not message["more_body"]:
                break
        else:
            return
        handling = asyncio.create_task(self._handle(scope, bytes(body), send))
        gone = asyncio.create_task(receive())  # the next one is that the caller went away, or that all is over
        await asyncio.wait([handling, gone], return_when=asyncio.FIRST_COMPLETED)
        for task in (handling, gone):
            task.cancel()
        await asyncio.gather(handling, gone, return_exceptions=True)

    async def _handle(self, scope: Scope, body: bytes, send: Send) -> None:
        method, path, reply = scope["method"], scope["path"], _AsgiReply(send)
        if path.startswith("/admin/"):
            status, found = await self.service.admin(method, path, body)
            return await reply.send(status, JSON, orjson.dumps(found))
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        self.ledger.met(tuple(scope["client"] or ()))
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        await self.service.handle(method, path, headers, body, reply, query)
        return await reply.finish()


class _AsgiReply:
    """An answer through ASGI."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._begun = self._broken = False

    async def send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        await self.begin(status, headers, len(body))
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def begin(self, status: int, headers: Mapping[str, str], size: int | None) -> None:
        self._begun = True
        found = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        if size is not None:
            found.append((b"content-length", str(size).encode()))
        await self._send({"type": "http.response.start", "status": status, "headers": found})

    async def write(self, chunk: bytes) -> None:
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def end(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def cut(self) -> None:
        self._broken = True

    def reset(self) -> None:
        self._broken = True

    async def finish(self) -> None:
        """End a broken answer: short of what it promised."""
        if self._broken:
            if not self._begun:
                await self.begin(200, JSON, 2)
            await self.end()
