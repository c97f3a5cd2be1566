"""Which endpoint a request goes to, and its call with retries inside its time."""

from __future__ import annotations

import asyncio
import fnmatch
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from schemas.response import WireError
from streams.flow.calls import Busy
from streams.pipeline import Outcome, PendingRequest, expired, refused
from streams.providers.endpoint import Endpoint
from streams.providers.openai import Answer, Failure
from streams.providers.retry import RetryPolicy


@dataclass(slots=True, eq=False)
class Provider:
    """Endpoints that serve the same models; taken in turns. `free` bounds the calls under way over all of them."""

    name: str
    models: Sequence[str]
    endpoints: Sequence[Endpoint]
    free: int
    timeout_s: float
    retry: RetryPolicy
    _turn: int = 0

    def serves(self, model: str) -> bool:
        return any(fnmatch.fnmatchcase(model, pattern) for pattern in self.models)

    def next_endpoint(self, other_than: Endpoint | None = None) -> Endpoint | None:
        """The next endpoint in turn that has a slot, another one than the given if there is a choice; None: all are full."""
        count = len(self.endpoints)
        in_turn = [self.endpoints[(self._turn + step) % count] for step in range(count)]
        free = [endpoint for endpoint in in_turn if endpoint.free]
        if not free:
            return None
        self._turn += 1
        return next((endpoint for endpoint in free if endpoint is not other_than), free[0])


class Providers:
    """All providers of a worker; the first one that serves a request's model gets it."""

    def __init__(self, providers: Sequence[Provider], now: Callable[[], float]) -> None:
        self._providers = {provider.name: provider for provider in providers}
        self._now = now
        self._of_model = lru_cache(maxsize=1024)(self._find)
        self._tell: Callable[[str], None] = lambda _: None

    def on_room(self, tell: Callable[[str], None]) -> None:
        """`tell(route)` is called when a slot of a route was given back."""
        self._tell = tell

    def route(self, request: PendingRequest) -> str | Outcome:
        """The provider's name, or an outcome if none serves the request's model."""
        model: str = request.request.payload["model"]
        provider = self._of_model(model)
        return (
            refused("invalid_request", f"no provider serves the model {model!r}") if provider is None else provider.name
        )

    def reserve(self, request: PendingRequest) -> Call | Outcome | Busy:
        """A slot for a request that has a route, or Busy if it has to wait."""
        provider = self._providers[request.route]
        endpoint = provider.next_endpoint() if provider.free else None
        return Busy("route") if endpoint is None else Call(provider, endpoint, self._now, self._tell)

    def _find(self, model: str) -> Provider | None:
        return next((provider for provider in self._providers.values() if provider.serves(model)), None)


class Call:
    """A reserved slot, and the call made with it."""

    def __init__(
        self, provider: Provider, endpoint: Endpoint, now: Callable[[], float], tell: Callable[[str], None]
    ) -> None:
        self._provider = provider
        self._endpoint = endpoint
        self._now = now
        self._tell = tell
        self._attempts = 0
        provider.free -= 1
        endpoint.free -= 1

    def release(self) -> None:
        self._provider.free += 1
        self._endpoint.free += 1
        self._tell(self._provider.name)

    async def call(self, request: PendingRequest) -> Outcome:
        """The call with its retries. All of it together keeps to the provider's timeout, and to the request's own limit."""
        began = time.monotonic()
        own_limit_s = float("inf") if request.expires_at is None else request.expires_at - self._now()
        ends = began + min(self._provider.timeout_s, own_limit_s)
        last = "no attempt was made"
        while (left_s := ends - time.monotonic()) > 0:
            self._attempts += 1
            found = await self._endpoint.call(request.request, left_s)
            if isinstance(found, Answer):
                return Outcome(
                    "ok",
                    payload=found.body,
                    usage=found.usage,
                    provider=self._provider.name,
                    attempts=self._attempts,
                    provider_s=time.monotonic() - began,
                )
            last = found.message
            left_s = ends - time.monotonic()
            if left_s <= 0:
                break
            retry = self._provider.retry
            pause_s = (
                retry.pause_s(self._attempts, found.retry_after_s, left_s, random.random) if found.retryable else None
            )
            if pause_s is None:
                return self._failed(found, began)
            await asyncio.sleep(pause_s)
            self._move()
        if own_limit_s < self._provider.timeout_s:
            return expired(
                "during the provider call",
                attempts=self._attempts,
                provider=self._provider.name,
                provider_s=time.monotonic() - began,
            )
        return self._failed(Failure("provider_timeout", last, retryable=True), began)

    def _move(self) -> None:
        """On to another endpoint, if one has a slot."""
        other = self._provider.next_endpoint(other_than=self._endpoint)
        if other is not None:
            self._endpoint.free += 1
            self._endpoint = other
            other.free -= 1

    def _failed(self, failure: Failure, began: float) -> Outcome:
        return Outcome(
            "error",
            error=WireError(failure.type, failure.message, failure.retryable),
            provider=self._provider.name,
            attempts=self._attempts,
            provider_s=time.monotonic() - began,
        )
