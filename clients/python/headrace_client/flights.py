"""Requests under way: who waits for which, and how all of that ends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from headrace_client.answers import Answer
from headrace_client.errors import HeadraceError, NotPublished
from headrace_client.matching import RequestKey, Waiting
from headrace_client.publisher import Published


def unconfirmed(request_id: str, within_s: float) -> NotPublished:
    return NotPublished(f"the broker has not confirmed request {request_id} within {within_s:g} s")


@dataclass(slots=True, eq=False)
class Flight:
    """One request that somebody waits for; several may, under the same request_id."""

    waiting: Waiting
    futures: set[asyncio.Future[Answer]] = field(default_factory=set)
    published: Published | None = None
    is_over: bool = False
    """Answered, failed, or nobody waits any more."""
    is_sending: bool = True
    error: HeadraceError | None = None
    """Why no answer will come."""
    acked: asyncio.Event = field(default_factory=asyncio.Event)
    """It is not on its way any more: the broker has it, or did not take it."""
    has_place: bool = True

    def join(self) -> asyncio.Future[Answer]:
        """A future of the answer, for one more who waits."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.futures.add(future)
        return future

    async def sent(self, within_s: float) -> Published:
        """Until the broker has it. Raises NotPublished, Closed."""
        try:
            async with asyncio.timeout(within_s):
                await self.acked.wait()
        except TimeoutError:
            pass
        if self.published is None:
            raise self.error or unconfirmed(self.waiting.key[1], within_s)
        return self.published

    def land(self, answer: Answer) -> None:
        """Give everybody the answer."""
        for future in self.futures:
            if not future.done():
                future.set_result(answer)

    def fail(self, error: HeadraceError) -> None:
        """Tell everybody that none will come."""
        self.error = error
        self.acked.set()
        for future in self.futures:
            if not future.done():
                future.set_exception(error)
                future.exception()  # seen: who was cancelled meanwhile does not fetch it


class Flights:
    """All flights of a client, by the request's name."""

    def __init__(self) -> None:
        self._by_key: dict[RequestKey, Flight] = {}
        self._sending: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._by_key)

    def get(self, key: RequestKey) -> Flight | None:
        return self._by_key.get(key)

    def add(self, flight: Flight) -> None:
        self._by_key[flight.waiting.key] = flight

    def remove(self, flight: Flight) -> None:
        """Who asks for the same from now on begins anew; fine to say twice."""
        if self._by_key.get(flight.waiting.key) is flight:
            del self._by_key[flight.waiting.key]

    def watch(self, sending: asyncio.Task[None]) -> None:
        """Keep a task until it ends or `cancel_sending`."""
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)

    def all(self) -> list[Flight]:
        return list(self._by_key.values())

    async def cancel_sending(self) -> None:
        for sending in self._sending:
            sending.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
