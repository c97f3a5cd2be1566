"""A connection signs in again before its session ends, with others waiting, against a broker played over a real socket."""

from __future__ import annotations

import asyncio
import math
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.coordination import FindCoordinatorRequest

from streams.settings.secrets import SecretFile, password
from streams.transport.connection import Connection, keep_alive

API_VERSIONS, HANDSHAKE, AUTHENTICATE, FIND_COORDINATOR = 18, 17, 36, 10
OK, REFUSED = 0, 58


class Broker:
    """Speaks PLAIN, and answers who the coordinator is."""

    def __init__(self, lifetime_ms: int) -> None:
        self.lifetime_ms = lifetime_ms
        self.heard: list[int] = []
        self.passwords: list[str] = []
        self.refuses = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                (size,) = struct.unpack(">i", await reader.readexactly(4))
                body = await reader.readexactly(size)
                api, _, correlation, client_chars = struct.unpack_from(">hhih", body)
                self.heard.append(api)
                answer = struct.pack(">i", correlation) + self.answer(api, body[10 + client_chars :])
                writer.write(struct.pack(">i", len(answer)) + answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def answer(self, api: int, asked: bytes) -> bytes:
        if api == API_VERSIONS:
            known = ((HANDSHAKE, 0, 1), (AUTHENTICATE, 0, 1), (FIND_COORDINATOR, 0, 0), (API_VERSIONS, 0, 0))
            return struct.pack(">hi", OK, len(known)) + b"".join(struct.pack(">hhh", *each) for each in known)
        if api == HANDSHAKE:
            return struct.pack(">hi", OK, 1) + struct.pack(">h5s", 5, b"PLAIN")
        if api == AUTHENTICATE:
            self.passwords.append(asked[4:].split(b"\0")[2].decode())
            return struct.pack(">hhiq", REFUSED if self.refuses else OK, -1, 0, self.lifetime_ms)
        return struct.pack(">hih1si", OK, 1, 1, b"h", 9092)


@asynccontextmanager
async def connected(lifetime_ms: int, secret: str = "the-password") -> AsyncIterator[tuple[Broker, Connection]]:
    broker = Broker(lifetime_ms)
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    connection = Connection(
        "127.0.0.1", server.sockets[0].getsockname()[1], security_protocol="SASL_PLAINTEXT", sasl_mechanism="PLAIN",
        sasl_plain_username="u", sasl_plain_password=secret,
    )  # fmt: skip
    try:
        await connection.connect()
        yield broker, connection
    finally:
        connection.close()
        server.close()


async def ask(connection: Connection) -> Any:
    return await connection.send(FindCoordinatorRequest("g", 0))


async def test_a_session_is_renewed_by_whoever_sends_when_most_of_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    async with connected(lifetime_ms=60_000) as (broker, connection):
        left_s = connection._sign_in_at - time.monotonic()
        assert 0.8 * 60 < left_s <= 0.95 * 60
        await ask(connection)
        assert broker.heard.count(AUTHENTICATE) == 1
        connection._sign_in_at = time.monotonic()
        await asyncio.gather(*(ask(connection) for _ in range(20)))
        assert broker.heard.count(AUTHENTICATE) == 2
        again = broker.heard.index(HANDSHAKE, broker.heard.index(AUTHENTICATE))
        assert broker.heard[again : again + 2] == [HANDSHAKE, AUTHENTICATE], "nothing between"
        assert broker.heard.count(FIND_COORDINATOR) == 21
        assert connection._sign_in_at > time.monotonic() + 40


async def test_a_broker_that_tells_no_lifetime_is_signed_in_to_once() -> None:
    async with connected(lifetime_ms=0) as (broker, connection):
        await ask(connection)
        assert connection._sign_in_at == math.inf
        assert broker.heard.count(AUTHENTICATE) == 1


async def test_the_password_is_what_the_file_holds_by_then(tmp_path: Any) -> None:
    file = tmp_path / "password"
    file.write_text("the-first-one")
    secret = SecretFile.read("kafka.sasl_password_file", file, password)
    async with connected(60_000, secret) as (broker, connection):
        file.write_text("the-next-one")
        connection._sign_in_at = time.monotonic()
        await ask(connection)
        assert broker.passwords == ["the-first-one", "the-next-one"]


async def test_a_sign_in_that_is_refused_ends_the_connection_for_all_who_wait() -> None:
    async with connected(60_000) as (broker, connection):
        broker.refuses = True
        connection._sign_in_at = time.monotonic()
        ended = await asyncio.gather(*(ask(connection) for _ in range(3)), return_exceptions=True)
        assert [type(each) for each in ended] == [KafkaConnectionError] * 3
        assert not connection.connected()
        assert FIND_COORDINATOR not in broker.heard


async def test_a_sign_in_that_is_cancelled_half_way_ends_the_connection() -> None:
    async with connected(60_000) as (_, connection):
        connection._sign_in_at = time.monotonic()
        asking = asyncio.create_task(ask(connection))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert not connection.connected()


async def test_the_kernel_asks_whether_the_peer_is_there() -> None:
    async with connected(0) as (_, connection):
        made = connection._writer.get_extra_info("socket")
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        if hasattr(socket, "TCP_KEEPIDLE"):
            assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 15


def test_a_platform_without_these_options_is_served_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT"):
        monkeypatch.delattr(socket, name, raising=False)
    with socket.socket() as made:
        keep_alive(made)
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
