"""One endpoint of a provider: its HTTP client, its slots, one call."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from dataclasses import replace

import httpx2

from schemas.errors import clip
from schemas.request import Request
from streams.metrics import definitions as metrics
from streams.providers import openai
from streams.providers.openai import Answer, Failure


class Endpoint:
    """Calls one address. `slots` bounds the calls under way; take one before each call and give it back after it."""

    def __init__(
        self,
        provider: str,
        url: str,
        client: httpx2.AsyncClient,
        headers: Mapping[str, str],
        slots: int,
        max_answer_bytes: int,
        api_key: str | None = None,
    ) -> None:
        self.provider = provider
        self.url = url
        self.free = slots
        self._client = client
        self._headers = {"content-type": "application/json", **headers}
        if api_key is not None:
            self._headers["authorization"] = f"Bearer {api_key}"
        self._api_key = api_key
        self._max_answer_bytes = max_answer_bytes

    async def call(self, request: Request, timeout_s: float) -> Answer | Failure:
        """One attempt. Raises nothing but CancelledError."""
        began = time.monotonic()
        found = await self._call(request, timeout_s)
        metrics.PROVIDER_SECONDS.labels(self.provider).observe(time.monotonic() - began)
        metrics.PROVIDER_CALLS.labels(self.provider, "ok" if isinstance(found, Answer) else found.type).inc()
        if isinstance(found, Answer):
            metrics.PROVIDER_TOKENS.labels(self.provider, "prompt").inc(found.usage.prompt_tokens)
            metrics.PROVIDER_TOKENS.labels(self.provider, "completion").inc(found.usage.completion_tokens)
        elif self._api_key is not None and self._api_key in found.message:  # some providers quote the key they refuse
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
        async with self._client.stream(
            "POST",
            self.url + openai.PATHS[request.operation],
            content=openai.encode(request),
            headers=self._headers,
        ) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > self._max_answer_bytes:
                    message = f"the answer has more than {self._max_answer_bytes} bytes"
                    return Failure("answer_too_large", message, retryable=False)
            return openai.decode(response.status_code, bytes(body), response.headers.get("retry-after"))
