"""Providers of scripted upstreams, and what calls of them came to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from schemas.response import WireError
from streams.flow.dispatch import Dispatch
from streams.pipeline import Busy, Outcome, PendingRequest
from streams.providers.build import open_providers
from streams.settings import Settings
from tests.integration.provider_rig import Rig, ask
from tests.support.fixtures import measured
from tests.support.requests import pending, until
from tests.support.scripted_upstream import HANG_UP, Reply, Upstream, completion

__all__ = ["measured"]

WELL = Reply(200, completion())
UNLIMITED = {"requests": "unlimited", "tokens": "unlimited"}
RETRY = {"base_delay": "20ms", "max_delay": "50ms"}

BAD: dict[str, Reply] = {
    "401": Reply(401, {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}),
    "402": Reply(402, {"error": {"message": "Insufficient credits", "code": 402}}),
    "403": Reply(403, {"error": {"message": "forbidden"}}),
    "404": Reply(404, {"error": {"message": "The model `m` does not exist", "code": "model_not_found"}}),
    "404 of a proxy": Reply(404, b"<html><title>Not Found</title></html>", {"content-type": "text/html"}),
    "524": Reply(524, b"<html><title>524: A timeout occurred</title></html>", {"content-type": "text/html"}),
    "a page": Reply(200, b"<!doctype html><title>Sign in</title>", {"content-type": "text/html"}),
    "an error in 200": Reply(200, {"error": {"message": "upstream disconnected", "code": 502}}),
    "no credit in 429": Reply(429, {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}),
    "hangs up": HANG_UP,
}


@asynccontextmanager
async def rig_of(providers: Sequence[dict[str, Any]], **sections: Any) -> AsyncIterator[Rig]:
    """Real providers with these tables, and sections of settings."""
    tables = [{"rate_limit": UNLIMITED, "retry": RETRY} | table for table in providers]
    settings = Settings.model_validate({"providers": tables, **sections})
    async with AsyncExitStack() as stack:
        rig = Rig(await open_providers(settings, stack))
        yield rig
        rig.assert_everything_is_back()


def endpoints(*upstreams: Upstream) -> list[dict[str, Any]]:
    return [{"url": each.url} for each in upstreams]


def asking(model: str = "m", agent: str = "a", **payload: Any) -> Any:
    return pending(agent=agent, model=model, payload=payload)


async def call_all(rig: Rig, count: int, at_a_time: int, make: Callable[[int], Any]) -> list[Outcome]:
    """So many requests, so many at a time; one that has to wait asks again."""
    places = asyncio.Semaphore(at_a_time)

    async def one(number: int) -> Outcome:
        async with places:
            request = make(number)
            while True:
                found = ask(rig.providers, request)
                if not isinstance(found, Busy):
                    break
                await asyncio.sleep(0.005)
            if isinstance(found, Outcome):
                return found
            try:
                return await found.call(request)
            finally:
                found.release()

    return await asyncio.gather(*map(one, range(count)))


class Timed:
    """The end of the pipeline: what became of each request, and after how long."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self._done: list[tuple[str, str, float]] = []

    def respond(self, request: PendingRequest, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self._done.append((request.request.payload["model"], outcome.status, time.time() - request.received_at))

    def abandon(self, request: PendingRequest) -> None:
        raise AssertionError("nothing moves here")

    async def rate(self, dispatch: Dispatch, per_s: dict[str, int], seconds: int) -> list[tuple[str, str, float]]:
        """So many requests of each model a second, by one agent: model, status and seconds of each that was answered."""
        self._done = []
        began, moments = (
            time.time(),
            [(n / rate, model) for model, rate in per_s.items() for n in range(rate * seconds)],
        )
        for at, model in sorted(moments):
            await asyncio.sleep(max(0.0, began + at - time.time()))
            now = time.time()
            request = asking(model)
            request.received_at, request.dispatch_by = now, now + 30
            dispatch.accept([request])
        await until(lambda: sum(model != "dead" for model, _, _ in self._done) >= per_s["good"] * seconds, 35)
        return self._done


def error_of(outcome: Outcome) -> WireError:
    assert outcome.error is not None
    return outcome.error
