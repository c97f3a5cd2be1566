"""One endpoint of a provider: its slots, one call."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Final

import httpx2

from schemas.errors import clip
from schemas.request import Request
from streams.metrics import definitions as metrics
from streams.providers import openai
from streams.providers.openai import Answer, Failure

_HEADERS: Final = {
    "accept": "application/json",
    "accept-encoding": "gzip, deflate",
    "content-type": "application/json",
    "user-agent": "headrace",
}


class Endpoint:
    """Calls one address. `slots` bounds the calls under way; take one before each call and give it back after it.

    It calls the transport itself: httpx2's client would add cookies, redirects and authentication, which no provider asks
    for, and a fifth of a call's CPU (docs/decisions/0010-aiohttp-under-httpx.md).
    """

    def __init__(
        self,
        provider: str,
        url: str,
        transport: httpx2.AsyncBaseTransport,
        headers: Mapping[str, str],
        slots: int,
        max_answer_bytes: int,
        api_key: str | None = None,
    ) -> None:
        self.provider = provider
        self.url = url
        self.free = slots
        self._transport = transport
        self._urls = {operation: httpx2.URL(url + path) for operation, path in openai.PATHS.items()}
        self._headers = {**_HEADERS, **{name.lower(): value for name, value in headers.items()}}
        if api_key is not None:
            self._headers["authorization"] = f"Bearer {api_key}"
        self._api_key = api_key
        self._max_answer_bytes = max_answer_bytes

    async def call(self, request: Request, timeout_s: float) -> Answer | Failure:
        """One attempt. Raises nothing but CancelledError."""
        began = time.monotonic()
        found = await self._call(request, timeout_s)
        tags = self.provider, metrics.GEN_AI_OPERATIONS[request.operation]
        error_type = "" if isinstance(found, Answer) else found.type
        metrics.PROVIDER_SECONDS.labels(*tags, error_type).observe(time.monotonic() - began)
        if isinstance(found, Answer):
            metrics.PROVIDER_TOKENS.labels(*tags, "input").observe(found.usage.prompt_tokens)
            metrics.PROVIDER_TOKENS.labels(*tags, "output").observe(found.usage.completion_tokens)
            return found
        if self._api_key is not None and self._api_key in found.message:  # some providers quote the key they refuse
            return replace(found, message=found.message.replace(self._api_key, "***"))
        return found

    async def _call(self, request: Request, timeout_s: float) -> Answer | Failure:
        try:
            async with asyncio.timeout(timeout_s):
                return await self._exchange(request)
        except (TimeoutError, httpx2.TimeoutException):
            return Failure(
                "provider_timeout", f"no answer from {self.provider} within {timeout_s:.1f} s", retryable=True
            )
        except httpx2.ConnectError as error:
            return Failure("provider_unavailable", clip(f"{self.provider} cannot be reached: {error}"), retryable=True)
        except (httpx2.HTTPError, httpx2.StreamError, ssl.SSLError, OSError) as error:
            return Failure(
                "provider_error", f"the call to {self.provider} broke: {type(error).__name__}", retryable=True
            )

    async def _exchange(self, request: Request) -> Answer | Failure:
        url = self._urls[request.operation]
        response = await self._transport.handle_async_request(
            httpx2.Request("POST", url, headers=self._headers, content=openai.encode(request))
        )
        async with aclosing(response):
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > self._max_answer_bytes:
                    message = f"the answer has more than {self._max_answer_bytes} bytes"
                    return Failure("answer_too_large", message, retryable=False)
            return openai.decode(response.status_code, bytes(body), response.headers.get("retry-after"))
