"""One request to a collector, and what came of it."""

from __future__ import annotations

import gzip
import ssl
import time
from dataclasses import dataclass
from typing import Final

import aiohttp

from streams.limits.retry_after import retry_after_s
from streams.otel.environment import Collector

_RETRYABLE: Final = frozenset({429, 502, 503, 504})
"""https://opentelemetry.io/docs/specs/otlp/#failures-1; after any other status the same request would fail again."""
_MOST_ANSWER_BYTES: Final = 65_536
_MOST_WHY_CHARS: Final = 200


@dataclass(frozen=True, slots=True)
class Sent:
    """What a collector said. `again`: the same request may go well later, not before `retry_after_s` where it asks for that."""

    well: bool
    again: bool = False
    why: str = ""
    retry_after_s: float | None = None
    body: bytes = b""


class Sender:
    """Sends to one collector. Close it."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._headers = {
            **collector.headers,
            "content-type": "application/x-protobuf",
            "user-agent": "headrace",
            **({"content-encoding": "gzip"} if collector.gzip else {}),
        }
        self._session: aiohttp.ClientSession | None = None

    def pack(self, body: bytes) -> bytes:
        """As it travels. Takes time: not for the loop."""
        return gzip.compress(body, 1) if self._collector.gzip else body

    async def send(self, packed: bytes) -> Sent:
        """Raises nothing but CancelledError."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(self._collector.timeout_s), cookie_jar=aiohttp.DummyCookieJar()
            )
        try:
            async with self._session.post(
                self._collector.url,
                data=packed,
                headers=self._headers,
                ssl=self._collector.tls or True,
                allow_redirects=False,  # what the headers hold is for this address
            ) as response:
                body = await response.content.read(_MOST_ANSWER_BYTES)
                if 200 <= response.status < 300:
                    return Sent(well=True, body=body)
                headers = {name.lower(): value for name, value in response.headers.items()}
                wait_s = retry_after_s(headers, time.time())
                return Sent(False, response.status in _RETRYABLE, f"status {response.status}", wait_s)
        except TimeoutError:
            return Sent(False, True, f"no answer within {self._collector.timeout_s:g} s")
        except (aiohttp.ClientError, ssl.SSLError, OSError) as error:
            return Sent(False, True, f"{type(error).__name__}: {error}"[:_MOST_WHY_CHARS])
        except ValueError as error:
            return Sent(False, False, f"{type(error).__name__}"[:_MOST_WHY_CHARS])

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
