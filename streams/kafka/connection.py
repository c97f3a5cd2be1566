"""A connection to a broker that signs in again before its session ends, with the password that its file holds by then.

Brokers may end a session that was signed in long ago (`connections.max.reauth.ms`); aiokafka knows nothing of that, and each
session ends as a broken connection, with what was under way on it. KIP-368: whoever sends when most of the session is over signs
in first, on the same connection; others wait for it, a few milliseconds.

Source: https://cwiki.apache.org/confluence/display/KAFKA/KIP-368
"""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Awaitable
from math import inf
from typing import Any, Final

import structlog
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.admin import SaslAuthenticateRequest, SaslHandShakeRequest

from streams.settings.secrets import SecretFile
from streams.settings.tls import RotatingContext

log = structlog.get_logger("headrace.transport")

_EARLIEST, _LATEST = 0.85, 0.95
"""Of a session's lifetime, as Kafka's own clients do it."""

_IDLE_S: Final = 15
_PROBE_S: Final = 5
_PROBES: Final = 3
_UNACKED_S: Final = 10
"""A peer that is gone without a word is noticed in half a minute where nothing is sent, and in 10 s where something is."""


class Connection(AIOKafkaConnection):  # type: ignore[misc]
    """aiokafka's connection, with re-authentication and TCP keep-alive."""

    def __init__(self, host: str, port: int, **options: Any) -> None:
        super().__init__(host, port, **options)
        self._password = options.get("sasl_plain_password")
        self._sign_in_at = inf
        self._signing_in: asyncio.Event | None = None

    async def connect(self) -> Any:
        if isinstance(self._ssl_context, RotatingContext) and self._ssl_context.refresh():
            log.info("the client certificate was replaced, new connections show it")
        connected = await super().connect()
        keep_alive(self._writer.get_extra_info("socket"))
        return connected

    def send(self, request: Any, expect_response: bool = True) -> Awaitable[Any]:
        due = self._signing_in is not None or time.monotonic() >= self._sign_in_at
        if due and type(request) not in (SaslHandShakeRequest, SaslAuthenticateRequest):
            return self._send_signed_in(request, expect_response)
        answer: Awaitable[Any] = super().send(request, expect_response)
        return self._note_session(answer) if type(request) is SaslAuthenticateRequest else answer

    async def _send_signed_in(self, request: Any, expect_response: bool) -> Any:
        while self._signing_in is not None:
            await self._signing_in.wait()
        if time.monotonic() >= self._sign_in_at and self.connected():
            await self._sign_in_again()
        return await super().send(request, expect_response)

    async def _sign_in_again(self) -> None:
        self._signing_in = asyncio.Event()
        self._sign_in_at = inf
        try:
            await self._do_sasl_handshake()
        except BaseException as error:  # half signed in, it takes nothing else
            self.close(reason=CloseReason.AUTH_FAILURE)
            if not isinstance(error, Exception):
                raise
            raise KafkaConnectionError(f"{self.host}:{self.port} does not take the sign-in again: {error}") from error
        finally:
            self._signing_in.set()
            self._signing_in = None

    async def _do_sasl_handshake(self) -> None:
        if isinstance(self._password, SecretFile):
            self._sasl_plain_password = self._password.now()
        await super()._do_sasl_handshake()

    async def _note_session(self, answer: Awaitable[Any]) -> Any:
        response = await answer
        lifetime_s = getattr(response, "session_lifetime_ms", 0) / 1000
        self._sign_in_at = time.monotonic() + lifetime_s * random.uniform(_EARLIEST, _LATEST) if lifetime_s else inf
        return response


def keep_alive(sock: Any) -> None:
    """Have the kernel ask whether the peer is still there. What a platform cannot set stays as it is."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", _IDLE_S),
        ("TCP_KEEPINTVL", _PROBE_S),
        ("TCP_KEEPCNT", _PROBES),
        ("TCP_USER_TIMEOUT", _UNACKED_S * 1000),
    ):
        if (option := getattr(socket, name, None)) is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
