"""What httpx2's interface asks of the transport over aiohttp: connections, TLS, and what is sent once, twice or never."""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

from streams.pipeline import Outcome
from streams.providers.build import open_providers
from streams.providers.call import ProviderCall
from streams.providers.http.aiohttp_transport import AiohttpTransport
from streams.settings import Settings
from tests.integration.provider_rig import ask, free_port, over_aiohttp
from tests.support.requests import pending

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


@dataclass
class Server:
    """Answers `answers` in turn, the last one for ever; None closes the connection without an answer."""

    answers: list[bytes | None] = field(default_factory=lambda: [OK])
    answer_s: float = 0.0
    connections: int = 0
    most_open: int = 0
    requests: list[bytes] = field(default_factory=list)
    alpn: list[str | None] = field(default_factory=list)
    port: int = 0
    _open: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/chat/completions"

    async def on_connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open += 1
        self.most_open = max(self.most_open, self._open)
        if tls := writer.get_extra_info("ssl_object"):
            self.alpn.append(tls.selected_alpn_protocol())
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                (length,) = (line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                self.requests.append(head + await reader.readexactly(int(length)))
                await asyncio.sleep(self.answer_s)
                answer = self.answers[min(len(self.requests), len(self.answers)) - 1]
                if answer is None:
                    return
                writer.write(answer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open -= 1
            writer.close()


@asynccontextmanager
async def running(server: Server, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    listening = await asyncio.start_server(server.on_connect, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()


async def post(transport: AiohttpTransport, url: str, content: bytes = b'{"n": 1}') -> httpx2.Response:
    response = await transport.handle_async_request(httpx2.Request("POST", url, content=content))
    await response.aread()
    return response


# ---- what is sent


async def test_a_request_arrives_as_it_was_made_and_nothing_is_added() -> None:
    async with running(Server()) as server, over_aiohttp() as transport:
        headers = {"content-type": "application/json", "x-own": "1"}
        request = httpx2.Request("POST", f"{server.url}%2F?a=%20", headers=headers, content=b"body")
        await transport.handle_async_request(request)
    head, body = server.requests[0].split(b"\r\n\r\n")
    assert body == b"body"
    assert head.startswith(b"POST /v1/chat/completions%2F?a=%20 HTTP/1.1\r\n")
    names = sorted(line.split(b":")[0].lower() for line in head.split(b"\r\n")[1:])
    assert names == [b"content-length", b"content-type", b"host", b"x-own"]


async def test_cookies_are_not_kept_and_redirects_not_followed() -> None:
    moved = b"HTTP/1.1 307 Moved\r\nlocation: /elsewhere\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n"
    async with running(Server([moved, OK])) as server, over_aiohttp() as transport:
        assert (await post(transport, server.url)).status_code == 307
        assert (await post(transport, server.url)).status_code == 200
    assert b"cookie" not in server.requests[1]


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    async with running(Server()) as server, over_aiohttp() as transport:
        assert (await post(transport, server.url)).status_code == 200


async def test_a_compressed_answer_is_decompressed_once() -> None:
    twice = gzip.compress(gzip.compress(b"{}"))
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {len(twice)}\r\n\r\n".encode()
    async with running(Server([head + twice])) as server, over_aiohttp() as transport:
        assert gzip.decompress((await post(transport, server.url)).content) == b"{}"


async def test_a_header_with_a_line_break_is_refused_before_anything_is_sent() -> None:
    async with running(Server()) as server, over_aiohttp() as transport:
        request = httpx2.Request("POST", server.url, headers={"authorization": "Bearer x\r\nx: y"}, content=b"{}")
        with pytest.raises(httpx2.LocalProtocolError):
            await transport.handle_async_request(request)
    assert not server.requests


# ---- connections


async def test_calls_one_after_the_other_share_a_connection() -> None:
    async with running(Server()) as server, over_aiohttp() as transport:
        for _ in range(5):
            await post(transport, server.url)
    assert (server.connections, len(server.requests)) == (1, 5)


async def test_without_keep_alive_every_call_has_its_own() -> None:
    async with running(Server()) as server, over_aiohttp(keep_alive_s=None) as transport:
        for _ in range(3):
            await post(transport, server.url)
    assert server.connections == 3


async def test_a_connection_that_was_idle_too_long_is_not_used_again() -> None:
    async with running(Server()) as server, over_aiohttp(keep_alive_s=0.05) as transport:
        await post(transport, server.url)
        await asyncio.sleep(0.1)
        await post(transport, server.url)
    assert server.connections == 2


async def test_there_are_never_more_connections_than_allowed() -> None:
    async with running(Server(answer_s=0.02)) as server, over_aiohttp(connections=3) as transport:
        await asyncio.gather(*(post(transport, server.url) for _ in range(12)))
    assert (server.most_open, len(server.requests)) == (3, 12)


async def test_a_body_that_is_not_read_to_its_end_costs_its_connection() -> None:
    long = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n" + b"x" * 1000
    async with running(Server([long, OK])) as server, over_aiohttp(connections=1) as transport:
        response = await transport.handle_async_request(httpx2.Request("POST", server.url, content=b"{}"))
        await response.aclose()
        assert (await post(transport, server.url)).status_code == 200
    assert server.connections == 2


# ---- connections that the server closes


class ClosingServer:
    """Answers one request a connection, and closes it when told, while the caller's event loop stands still."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/v1"
        self.requests = 0
        self._close = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            while b"}" not in connection.recv(65_536):
                pass
            self.requests += 1
            connection.sendall(OK)
            self._close.wait(5)
            connection.shutdown(socket.SHUT_WR)
            while (
                connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) != b"\x05"
            ):  # until the other side has it
                time.sleep(0.001)
            connection.close()
            self._closed.set()

    def close_connections(self) -> None:
        """Returns when the caller's kernel knows; its event loop does not."""
        self._close.set()
        assert self._closed.wait(5)

    def stop(self) -> None:
        self._listening.close()


@pytest.fixture
def closing() -> Iterator[ClosingServer]:
    server = ClosingServer()
    yield server
    server.stop()


async def test_a_request_is_not_sent_on_a_connection_that_the_server_has_closed(closing: ClosingServer) -> None:
    async with over_aiohttp() as transport:
        assert (await post(transport, closing.url)).status_code == 200
        closing.close_connections()
        assert (await post(transport, closing.url)).status_code == 200
    assert closing.requests == 2


async def test_a_request_that_was_sent_is_never_sent_again() -> None:
    async with running(Server([OK, None])) as server, over_aiohttp() as transport:
        await post(transport, server.url)
        with pytest.raises(httpx2.RemoteProtocolError):  # what came of it the server alone knows
            await post(transport, server.url)
    assert len(server.requests) == 2


async def test_nobody_there_is_a_connect_error() -> None:
    async with over_aiohttp() as transport:
        with pytest.raises(httpx2.ConnectError):
            await post(transport, f"http://127.0.0.1:{free_port()}/v1")
        with pytest.raises(httpx2.ConnectError):
            await post(transport, "http://no-such-host.invalid/v1")


async def test_a_server_that_closes_new_connections_is_given_up_after_a_few() -> None:
    accepted = 0

    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal accepted
        accepted += 1
        writer.close()

    server = await asyncio.start_server(close, "127.0.0.1", 0)
    async with server, over_aiohttp() as transport:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises((httpx2.ConnectError, httpx2.ReadError, httpx2.RemoteProtocolError)):
            await post(transport, f"http://127.0.0.1:{port}/v1")
    assert 1 <= accepted <= 3


# ---- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of its own authority for localhost, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    folder = tmp_path_factory.mktemp("tls")
    made, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-out", str(made), "-keyout", str(key)],
        check=True, capture_output=True,
    )  # fmt: skip
    return made, key


@pytest.fixture
def server_tls(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


async def test_a_certificate_is_checked_against_the_given_context(
    certificate: tuple[Path, Path], server_tls: ssl.SSLContext
) -> None:
    trusting = ssl.create_default_context(cafile=os.fspath(certificate[0]))
    async with running(Server(), server_tls) as server:
        async with AiohttpTransport(10, 60.0, trusting) as transport:
            for _ in range(3):  # a server of TLS 1.3 sends tickets behind its handshake: they are no closed connection
                assert (await post(transport, f"https://localhost:{server.port}/v1")).status_code == 200
            assert server.connections == 1
            with pytest.raises(httpx2.ConnectError):  # a certificate of another name
                await post(transport, f"https://127.0.0.1:{server.port}/v1")
        async with over_aiohttp() as transport:
            with pytest.raises(httpx2.ConnectError):  # of an unknown authority
                await post(transport, f"https://localhost:{server.port}/v1")
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("network", "per_host", "spoken"),
    [
        pytest.param({}, 10, None, id="by default each call has a connection"),
        pytest.param({}, 100, "h2", id="a hundred calls at a time share them"),
        pytest.param({"multiplexing_from": 1}, 10, "h2", id="all do where that is wanted"),
        pytest.param({"multiplexing": False}, 100, None, id="none do where it is off"),
    ],
)
async def test_http2_is_offered_where_calls_share_connections(
    certificate: tuple[Path, Path],
    server_tls: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
    network: dict[str, object],
    per_host: int,
    spoken: str | None,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", os.fspath(certificate[0]))
    async with running(Server(), server_tls) as server, AsyncExitStack() as stack:
        settings = Settings.model_validate(
            {
                "network": network,
                "concurrency": {"per_host": 1000},
                "providers": [
                    {
                        "name": "tls",
                        "endpoints": [{"url": f"https://localhost:{server.port}/v1"}],
                        "retry": {"max_attempts": 1},
                        "connections": {"max": per_host, "per_host": per_host},
                    }
                ],
            }
        )
        providers = await open_providers(settings, stack)
        call = ask(providers, pending(expires_at=time.time() + 5))
        assert isinstance(call, ProviderCall)
        outcome = await call.call(pending())
        call.release()
        assert isinstance(outcome, Outcome)
        assert server.alpn == [spoken]
        assert bool(server.requests) is (spoken is None)  # our server speaks no HTTP/2
