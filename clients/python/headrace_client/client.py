"""The client: requests out, each with its answer."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self, TypedDict, Unpack, cast

from headrace_client.answers import Answer, agent_of, event_id_of, read_answer
from headrace_client.connection import KafkaOptions, checked, end
from headrace_client.errors import Closed, HeadraceError, NoAnswer, NotPublished
from headrace_client.flights import Flight, Flights
from headrace_client.matching import Matcher, RequestKey
from headrace_client.names import Priority, Topics
from headrace_client.publisher import Published, Publisher
from headrace_client.reader import TopicReader
from headrace_client.records import Cache, CacheMode, Operation, Outgoing, Request, content_digest, outgoing
from headrace_client.seen import Seen

log = logging.getLogger("headrace_client")

_CLOSED: Final = "the client was closed before the answer came; the request is carried out all the same"


class RequestOptions(TypedDict, total=False):
    """What may be said of a request beside its payload; each has the contract's default."""

    agent_id: str
    priority: Priority
    operation: Operation
    request_id: str
    """By default a new UUID. The same again makes a retry that is answered once."""
    conversation_id: str | None
    cache: Cache | CacheMode | None
    timeout_s: float | None
    """Total seconds from the moment at which the broker has it."""
    deadline: datetime | None
    """The latest moment for an answer; `timeout_s` wins over it."""
    traceparent: str | None


class Headrace:
    """A client of one fleet, open inside `async with`. For one event loop; any number of its tasks may use it at once.

    Args:
        bootstrap_servers: `host:port`, several with commas or as a list.
        agent_id: whose requests these are where a call does not say.
        reply_topic: a topic of your own for answers, `agent.responses.<name>`, which must exist; by default the shared
            `agent.responses`, of which this client reads all and keeps what is its own.
        topics_prefix: the fleet's setting `topics.prefix`.
        source: a URI reference that names the sender in `ce_source`.
        timeout_s: how long `ask` waits where the call names neither a timeout nor a deadline.
        grace_s: how much longer than the request's own time `ask` waits for the fleet to say `expired`.
        publish_timeout_s: how long the broker may take to confirm a request.
        close_timeout_s: how long closing waits for requests on their way to the broker.
        max_in_flight: `ask` waits for a place while so many others wait for their answers.
        **kafka: options of aiokafka's clients, as it names them: `security_protocol`, `ssl_context`, `sasl_mechanism`,
            `sasl_plain_username`, ... (`KafkaOptions`).

    Entering raises Unreachable and TopicMissing. It returns once the answer to whatever is published next cannot be missed.
    """

    def __init__(
        self,
        bootstrap_servers: str | Sequence[str],
        *,
        agent_id: str | None = None,
        reply_topic: str | None = None,
        topics_prefix: str = "",
        source: str = "/headrace-client",
        timeout_s: float = 60.0,
        grace_s: float = 10.0,
        publish_timeout_s: float = 30.0,
        close_timeout_s: float = 10.0,
        max_in_flight: int = 1000,
        **kafka: Unpack[KafkaOptions],
    ) -> None:
        positive = {"timeout_s": timeout_s, "publish_timeout_s": publish_timeout_s, "max_in_flight": max_in_flight}
        for name, limit in positive.items():
            if not limit > 0:
                raise ValueError(f"{name} is {limit}; it must be above 0")
        self.topics = Topics(topics_prefix)
        self.reply_topic = reply_topic or self.topics.responses
        self.topics.check_reply_topic(self.reply_topic)
        self._agent_id = agent_id
        self._source = source
        self._timeout_s = timeout_s
        self._grace_s = grace_s
        self._publish_timeout_s = publish_timeout_s
        self._close_timeout_s = close_timeout_s
        servers = bootstrap_servers if isinstance(bootstrap_servers, str) else list(bootstrap_servers)
        self._options: dict[str, Any] = {"bootstrap_servers": servers, **checked(kafka)}
        self._places = asyncio.Semaphore(max_in_flight)
        self._matcher = Matcher(early_count=max(2048, 2 * max_in_flight))
        self._flights = Flights()
        self._sending: dict[RequestKey, set[asyncio.Future[None]]] = {}
        self._stack = AsyncExitStack()
        self._publisher: Publisher | None = None
        self._ended: asyncio.Future[HeadraceError] | None = None

    async def __aenter__(self) -> Self:
        if self._ended is not None:
            raise Closed("a client is opened once; make another one")
        self._ended = asyncio.get_running_loop().create_future()
        try:
            reader = TopicReader(self.reply_topic, self._options)
            await reader.start()
            self._stack.push_async_callback(reader.stop)
            publisher = Publisher(self._options, self.topics)
            await publisher.start()
            self._stack.push_async_callback(self._flights.cancel_sending)
            self._stack.push_async_callback(publisher.stop, self._close_timeout_s)
            reading = asyncio.create_task(reader.run(self._read), name="headrace-client-answers")
            reading.add_done_callback(self._reading_ended)
            self._stack.push_async_callback(end, reading)
        except BaseException:
            await self._stack.aclose()
            raise
        self._publisher = publisher
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End it. Whoever still waits for an answer gets Closed; their requests are carried out all the same."""
        self._finish(Closed(_CLOSED))
        await self._stack.aclose()

    @property
    def waiting(self) -> int:
        """Requests whose answer `ask` waits for."""
        return len(self._flights)

    async def ask(self, payload: Mapping[str, Any], **options: Unpack[RequestOptions]) -> Answer:
        """Publish a request and wait for its answer, which is `ok`.

        The wait ends with the request's time (`timeout_s`, else `deadline`, else the client's own `timeout_s`), and
        `grace_s` later, so that the fleet's own word comes first. Without a limit of the call's own the class's applies.
        Asked again under the same request_id while the first is waited for, it is not published again; later it is, and
        the first answer to either counts. Cancelling ends the wait, not the request.

        Raises Rejected, Expired, ProviderError, Failed (the fleet's answer), NotPublished, NoAnswer, Closed; ValueError
        for what the contract refuses, and for another content under a request_id that is waited for.
        """
        request = self._request(payload, options)
        digest = content_digest(request)
        wait_s = self._wait_s(request) + self._grace_s
        give_up_at = asyncio.get_running_loop().time() + wait_s
        flight = self._flights.get(request.key) or await self._take_off(request, digest, wait_s)
        if flight.waiting.digest != digest:
            raise ValueError(f"request_id {request.request_id} is under way with another content")
        future = flight.join()
        try:
            await asyncio.wait([future], timeout=max(0.0, give_up_at - asyncio.get_running_loop().time()))
            if not future.done():
                if flight.published is None:
                    raise NotPublished(f"the broker has not confirmed request {request.request_id} within {wait_s:g} s")
                raise NoAnswer(request.request_id, flight.published.event_id, wait_s)
            return future.result().raise_for_status()
        finally:
            flight.futures.discard(future)
            if not flight.futures:
                self._over(flight)

    async def publish(self, payload: Mapping[str, Any], **options: Unpack[RequestOptions]) -> Published:
        """Publish a request and return once the broker has it. `answers` has its answer, here or in another process.

        Raises NotPublished, Closed; ValueError for what the contract refuses.
        """
        request = self._request(payload, options)
        return await self._publish(request, self._record(request), content_digest(request))

    async def answers(self, *, since: datetime | None = None, group_id: str | None = None) -> AsyncIterator[Answer]:
        """Answers on the reply topic as they come, other callers' there too, and those that are not `ok`.

        From now on, or from `since`; or in a consumer group, where it left off. Each call reads anew. An answer that comes
        twice is left out, and so is one that bears the name of a request of this client but belongs to another record. For
        a request that another process published compare `event_id` with its `Published.event_id`.

        In a group, answers are committed once the next ones are asked for, so that none is lost and some may come again.
        Raises Unreachable, TopicMissing; Closed when the client is closed meanwhile.
        """
        ended = self._insist_open()
        reader = TopicReader(self.reply_topic, self._options, since=since, group_id=group_id)
        await reader.start()
        seen = Seen()
        try:
            while not ended.done():
                for record in await reader.next():
                    answer = await self._answer_of(record, seen)
                    if answer is not None:
                        yield answer
            raise ended.result()
        finally:
            await reader.stop()

    async def _take_off(self, request: Request, digest: bytes, wait_s: float) -> Flight:
        """A place among those in flight, and the request on its way; or the flight that somebody began meanwhile."""
        record = self._record(request)
        try:
            async with asyncio.timeout(wait_s):
                await self._places.acquire()
        except TimeoutError:
            raise NotPublished(
                f"request {request.request_id} had no place beside {self.waiting} others in time"
            ) from None
        try:
            self._insist_open()
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
            flight.published = await self._publish(request, record, digest)
            event_id = flight.published.event_id
            early = self._matcher.acked(flight.waiting, event_id)
            if early is not None:
                self._answered(flight, event_id, early)
        except HeadraceError as error:
            flight.fail(error)
            self._over(flight)
        finally:
            flight.is_sending = False
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

    async def _publish(self, request: Request, record: Outgoing, digest: bytes) -> Published:
        self._insist_open()
        assert self._publisher is not None
        with self._under_way(request.key):
            published = await self._publisher.publish(record, request.request_id, self._publish_timeout_s)
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

    def _read(self, record: Any) -> None:
        """An answer to anybody's request, or whatever else was written to the topic."""
        event_id, agent_id = event_id_of(record.headers), agent_of(record.key)
        if event_id is None or agent_id is None or record.value is None:
            return
        waiting = self._matcher.offer(event_id, agent_id, record.value)
        if waiting is not None and (flight := self._flights.get(waiting.key)) is not None:
            self._answered(flight, event_id, record.value)

    async def _answer_of(self, record: Any, seen: Seen) -> Answer | None:
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

    def _request(self, payload: Mapping[str, Any], options: RequestOptions) -> Request:
        given = dict(options)
        agent_id = given.pop("agent_id", None) or self._agent_id
        if agent_id is None:
            raise ValueError("a request needs an agent_id: of its own, or the client's")
        if isinstance(cache := given.pop("cache", None), str):
            cache = Cache(cast("CacheMode", cache))
        request_id = given.pop("request_id", None) or str(uuid.uuid4())
        return Request(request_id, agent_id, payload, cache=cache, **given)  # type: ignore[arg-type]

    def _record(self, request: Request) -> Outgoing:
        return outgoing(request, self.topics, reply_topic=self.reply_topic, source=self._source, now=datetime.now(UTC))

    def _wait_s(self, request: Request) -> float:
        if request.timeout_s is not None:
            return request.timeout_s
        if request.deadline is not None and request.deadline.tzinfo is not None:
            return max(0.0, (request.deadline - datetime.now(UTC)).total_seconds())
        return self._timeout_s

    def _insist_open(self) -> asyncio.Future[HeadraceError]:
        if self._ended is None or self._publisher is None:
            raise Closed("the client is not open: async with Headrace(...) as client")
        if self._ended.done():
            raise self._ended.result()
        return self._ended

    def _finish(self, error: HeadraceError) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(error)
        for flight in self._flights.all():
            flight.fail(error)
            self._over(flight)

    def _reading_ended(self, reading: asyncio.Task[None]) -> None:
        """No task of ours ends unseen: without it nobody would ever be answered."""
        if not reading.cancelled() and (error := reading.exception()) is not None:
            log.error("answers are not read any more", exc_info=error)
            ended = Closed(f"answers are not read any more: {error!r}")
            ended.__cause__ = error
            self._finish(ended)
