"""OAUTHBEARER tokens for aiokafka: asked for at each sign-in, used again while they hold."""

from __future__ import annotations

import asyncio
import time
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import suppress
from typing import Final

import structlog
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaConnectionError

from streams.settings.secrets import MOST_BYTES, BadSecretError, api_key, rotated
from streams.settings.tokens import TokenSource, ends_at, use_until

log = structlog.get_logger("headrace.transport")

WITHIN_S: Final = 10.0
"""How long a command may take: less than a connection waits for its sign-in."""


class TokenProvider(AbstractTokenProvider):  # type: ignore[misc]
    """Of one client: its connections share what a command has printed."""

    def __init__(self, source: TokenSource, within_s: float = WITHIN_S) -> None:
        self._source = source
        self._within_s = within_s
        self._token: str | None = None
        self._until = 0.0
        self._asking = asyncio.Lock()

    async def token(self) -> str:
        """Raises KafkaConnectionError where there is none: the connection is tried again, as after any fault."""
        if self._source.file is not None:
            return self._source.file.now()
        async with self._asking:
            if self._token is None or time.time() >= self._until:
                await self._renew()
            assert self._token is not None
            return self._token

    async def _renew(self) -> None:
        try:
            found = api_key((await self._printed()).decode("ascii", "replace"))
        except (OSError, TimeoutError, BadSecretError) as error:
            why = f"what it printed {error}" if isinstance(error, BadSecretError) else str(error) or "it took too long"
            end = None if self._token is None else ends_at(self._token)
            if end is None or end <= time.time():
                raise KafkaConnectionError(f"kafka.sasl_token_command gives no token: {why}") from None
            log.warning("kafka.sasl_token_command gives no token, the one before is used on", error=why)
            return
        rotated.add(found)
        self._token, self._until = found, use_until(found, time.time())

    async def _printed(self) -> bytes:
        """What the command prints. It is killed when it takes too long, or prints too much."""
        process = await asyncio.create_subprocess_exec(
            *self._source.command, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(self._within_s):
                printed = b""
                while len(printed) <= MOST_BYTES and (piece := await process.stdout.read(MOST_BYTES)):
                    printed += piece
                if len(printed) > MOST_BYTES:
                    raise OSError(f"it prints more than {MOST_BYTES} bytes")
                code = await process.wait()
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if code:
            raise OSError(f"it ended with exit code {code}")
        return printed
