"""Requests that are waited for: each has a place, a record on its way, and one answer that is believed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from headrace_client.answers import Answer, agent_of, event_id_of, read_answer
from headrace_client.errors import HeadraceError, NotPublished
from headrace_client.flights import Flight, Flights
from headrace_client.matching import Matcher, RequestKey
from headrace_client.publisher import Published
from headrace_client.records import Outgoing, Request, content_digest
from headrace_client.seen import Seen


class Asking:
    """All requests of a client that somebody waits for.

    Args:
        most: how many may be in flight; the others wait for a place.
        publish: hands a record of a request_id to the broker and returns once it has it; raises HeadraceError.
    """

    def __init__(self, most: int, publish: Callable[[Outgoing, str], Awaitable[Published]]) -> None:
        self._publish = publish
        self._places = asyncio.Semaphore(most)
        self._matcher = Matcher(early_count=max(2048, 2 * most))
        self._flights = Flights()
        self._sending: dict[RequestKey, set[asyncio.Future[None]]] = {}
        self._ended: HeadraceError | None = None

    def __len__(self) -> int:
        """Requests whose answer is waited for."""
        return len(self._flights)

    @property
    def held_bytes(self) -> int:
        """Bytes of answers that wait for an ack."""
        return self._matcher.held_bytes

    def end(self, error: HeadraceError) -> None:
        """Tell everybody who waits, and who will, that no answer comes any more."""
        self._ended = self._ended or error
        for flight in self._flights.all():
            flight.fail(error)
            self._over(flight)

    async def cancel_sending(self) -> None:
        await self._flights.cancel_sending()

    @asynccontextmanager
    async def flight(
        self, request: Request, record: Outgoing, wait_s: float
    ) -> AsyncIterator[tuple[Flight, asyncio.Future[Answer]]]:
        """A request that is waited for: its own, or the one that is under way with the same request_id."""
        digest = content_digest(request)
        flight = self._flights.get(request.key) or await self._take_off(request, record, digest, wait_s)
        if flight.waiting.digest != digest:
            raise ValueError(f"request_id {request.request_id} is under way with another content")
        future = flight.join()
        try:
            yield flight, future
        finally:
            flight.futures.discard(future)
            if not flight.futures:
                self._over(flight)

    async def _take_off(self, request: Request, record: Outgoing, digest: bytes, wait_s: float) -> Flight:
        """A place among those in flight, and the request on its way; or the flight that somebody began meanwhile."""
        try:
            async with asyncio.timeout(wait_s):
                await self._places.acquire()
        except TimeoutError:
            raise NotPublished(f"request {request.request_id} had no place beside {len(self)} others in time") from None
        try:
            if self._ended is not None:
                raise self._ended
            begun = self._flights.get(request.key)
        except HeadraceError:
            self._places.release()
            raise
        if begun is not None:
            self._places.release()
            return begun
        flight = Flight(self._matcher.expect(request.key, digest))
        self._flights.add(flight)
        self._flights.watch(asyncio.create_task(self._send(flight, request, record, digest)))
        return flight

    async def _send(self, flight: Flight, request: Request, record: Outgoing, digest: bytes) -> None:
        """Publish a flight's request. It goes on when nobody waits any more: the ack says which answers are its own."""
        try:
            flight.published = await self.publish(request, record, digest)
            event_id = flight.published.event_id
            early = self._matcher.acked(flight.waiting, event_id)
            if early is not None:
                self._answered(flight, event_id, early)
        except HeadraceError as error:
            flight.fail(error)
            self._over(flight)
        finally:
            flight.is_sending = False
            flight.acked.set()
            self._free(flight)

    def _answered(self, flight: Flight, event_id: str, value: bytes) -> None:
        answer = read_answer(event_id, value)
        if answer is None or answer.agent_id != flight.waiting.key[0]:
            return  # nothing that the fleet writes
        flight.land(answer)
        self._over(flight)

    def _over(self, flight: Flight) -> None:
        self._flights.remove(flight)
        self._matcher.forget(flight.waiting)
        flight.is_over = True
        self._free(flight)

    def _free(self, flight: Flight) -> None:
        """Give its place back once it is neither waited for nor on its way."""
        if flight.is_over and not flight.is_sending and flight.has_place:
            flight.has_place = False
            self._places.release()

    async def publish(self, request: Request, record: Outgoing, digest: bytes) -> Published:
        """Publish a request, and remember which record is its own. Raises what the publisher does."""
        with self._under_way(request.key):
            published = await self._publish(record, request.request_id)
            self._matcher.remember(request.key, digest, published.event_id)
        return published

    @contextmanager
    def _under_way(self, key: RequestKey) -> Iterator[None]:
        """Let `answers` know that it cannot tell yet which answers to this request are its own."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sending = self._sending.setdefault(key, set())
        sending.add(done)
        try:
            yield
        finally:
            done.set_result(None)
            sending.discard(done)
            if not sending:
                self._sending.pop(key, None)

    def read(self, record: Any) -> None:
        """An answer to anybody's request, or whatever else was written to the topic."""
        event_id, agent_id = event_id_of(record.headers), agent_of(record.key)
        if event_id is None or agent_id is None or record.value is None:
            return
        waiting = self._matcher.offer(event_id, agent_id, record.value)
        if waiting is not None and (flight := self._flights.get(waiting.key)) is not None:
            self._answered(flight, event_id, record.value)

    async def answer_of(self, record: Any, seen: Seen) -> Answer | None:
        """The answer to hand on; None for what is no answer, comes again, or belongs to another's record."""
        event_id = event_id_of(record.headers)
        answer = None if event_id is None else read_answer(event_id, record.value)
        if event_id is None or answer is None:
            return None
        key = answer.agent_id, answer.request_id
        while (sending := self._sending.get(key)) and event_id not in self._matcher.event_ids_of(key):
            await asyncio.wait(sending)
        own = self._matcher.event_ids_of(key)
        if own and event_id not in own:
            return None
        return answer if seen.add(key if own else event_id) else None
