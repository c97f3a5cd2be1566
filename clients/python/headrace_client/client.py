"""The client: requests out, each with its answer."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self, Unpack

from headrace_client.answers import Answer
from headrace_client.asking import Asking
from headrace_client.cancels import cancel_of
from headrace_client.connection import KafkaOptions, checked, end
from headrace_client.deltas import Deltas
from headrace_client.errors import Closed, HeadraceError, NoAnswer
from headrace_client.flights import unconfirmed
from headrace_client.names import Topics
from headrace_client.options import RequestOptions, request_of
from headrace_client.publisher import Published, Publisher
from headrace_client.reader import TopicReader
from headrace_client.records import Outgoing, Request, content_digest, outgoing
from headrace_client.seen import Seen
from headrace_client.stream import Stream

log = logging.getLogger("headrace_client")

_MOST_LANES: Final = 10_000_000
_CLOSED: Final = "the client was closed before the answer came; the request is carried out all the same"


class Headrace:
    """A client of one fleet, open inside `async with`. For one event loop; any number of its tasks may use it at once.

    Args:
        bootstrap_servers: `host:port`, several with commas or as a list.
        agent_id: whose requests these are where a call does not say.
        reply_topic: a topic of your own for answers, `agent.responses.<name>`, which must exist; by default the shared
            `agent.responses`, of which this client reads all and keeps what is its own.
        lane: a partition of the reply topic that answers are to go to, and the only one that this client reads; so
            siblings share one topic. Deltas come on the partition of the same number; else on one taken at random.
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
        lane: int | None = None,
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
        if lane is not None and not 0 <= lane < _MOST_LANES:
            raise ValueError(f"lane is {lane}; it must be the number of a partition")
        self._lane = lane
        self._lane_of_deltas: int | None = None
        self._agent_id = agent_id
        self._source = source
        self._timeout_s = timeout_s
        self._grace_s = grace_s
        self._publish_timeout_s = publish_timeout_s
        self._close_timeout_s = close_timeout_s
        servers = bootstrap_servers if isinstance(bootstrap_servers, str) else list(bootstrap_servers)
        self._options: dict[str, Any] = {"bootstrap_servers": servers, **checked(kafka)}
        self._asking = Asking(max_in_flight, self._send)
        self._deltas = Deltas(self.topics.deltas, self._options, self._reading_ended)
        self._stack = AsyncExitStack()
        self._publisher: Publisher | None = None
        self._ended: asyncio.Future[HeadraceError] | None = None

    async def __aenter__(self) -> Self:
        if self._ended is not None:
            raise Closed("a client is opened once; make another one")
        self._ended = asyncio.get_running_loop().create_future()
        try:
            reader = TopicReader(self.reply_topic, self._options, lane=self._lane)
            await reader.start()
            self._stack.push_async_callback(reader.stop)
            publisher = Publisher(self._options, self.topics)
            await publisher.start()
            self._stack.push_async_callback(self._asking.cancel_sending)
            self._stack.push_async_callback(publisher.stop, self._close_timeout_s)
            reading = asyncio.create_task(reader.run(self._asking.read), name="headrace-client-answers")
            reading.add_done_callback(self._reading_ended)
            self._stack.push_async_callback(end, reading)
            self._stack.push_async_callback(self._deltas.stop)
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
        """Requests whose answer `ask` or `stream` waits for."""
        return len(self._asking)

    async def ask(self, payload: Mapping[str, Any], **options: Unpack[RequestOptions]) -> Answer:
        """Publish a request and wait for its answer, which is `ok`.

        The wait ends with the request's time (`timeout_s`, else `deadline`, else the client's own `timeout_s`), and
        `grace_s` later, so that the fleet's own word comes first. Without a limit of the call's own the class's applies.
        Asked again under the same request_id while the first is waited for, it is not published again; later it is, and
        the first answer to either counts. Cancelling ends the wait, not the request.

        Raises Rejected, Expired, Cancelled, ProviderError, Failed (the fleet's answer), NotPublished, NoAnswer, Closed;
        ValueError for what the contract refuses, and for another content under a request_id that is waited for.
        """
        request = self._request(payload, options)
        wait_s = self._wait_s(request) + self._grace_s
        give_up_at = asyncio.get_running_loop().time() + wait_s
        async with self._asking.flight(request, self._record(request, self._lane), wait_s) as (flight, future):
            await asyncio.wait([future], timeout=max(0.0, give_up_at - asyncio.get_running_loop().time()))
            if not future.done():
                if flight.published is None:
                    raise unconfirmed(request.request_id, wait_s)
                raise NoAnswer(request.request_id, flight.published.event_id, wait_s)
            return future.result().raise_for_status()

    @asynccontextmanager
    async def stream(self, payload: Mapping[str, Any], **options: Unpack[RequestOptions]) -> AsyncIterator[Stream]:
        """Publish a chat and tell its answer as it comes: `async with client.stream(payload) as stream`.

        Returns once the broker has the request. Without a limit of the call's own the wait ends once nothing has come for
        the client's `timeout_s` and `grace_s`; else as `ask`'s does. Deltas that are lost, or that its reader is too slow for,
        are made up for by the answer. Leaving the block ends the reading, not the request; `Stream.cancel` ends that.

        Raises NotPublished, TopicMissing, Unreachable, Closed; ValueError for what the contract refuses, for embeddings, and
        for another content under a request_id that is waited for.
        """
        request = self._request(payload, options)
        if request.operation != "chat.completions":
            raise ValueError(f"operation is {request.operation!r}; only chats are streamed")
        patience_s = self._wait_s(request) + self._grace_s
        is_limited = request.timeout_s is not None or request.deadline is not None
        give_up_at = asyncio.get_running_loop().time() + patience_s if is_limited else None
        lane = await self._deltas_lane()
        record = self._record(request, lane, stream=True)
        with self._deltas.inbox(request.request_id) as inbox:
            async with self._asking.flight(request, record, patience_s) as (flight, future):
                published = await flight.sent(patience_s)
                inbox.belong_to(published.event_id)
                yield Stream(published, inbox, future, patience_s, give_up_at, self._cancel)

    async def cancel(
        self,
        request_id: str,
        *,
        agent_id: str | None = None,
        event_id: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Ask the fleet to end a request, of whoever published it. Returns once the broker has that.

        Its end comes as ever: whoever waits for it gets `Cancelled`, or the answer that was faster. It is named by its agent
        (by default this client's, where no `event_id` is given), or by its record (`Published.event_id`), or both. What
        names no request does nothing. Under the same request_id nothing is carried out for an hour.

        Raises NotPublished, TopicMissing, Unreachable, Closed; ValueError for what the contract refuses.
        """
        if event_id is None:
            agent_id = agent_id or self._agent_id
        record = cancel_of(
            request_id,
            self.topics,
            agent_id=agent_id,
            event_id=event_id,
            reason=reason,
            source=self._source,
            now=datetime.now(UTC),
        )
        await self._open_publisher().partitions(record.topic, self._publish_timeout_s)
        await self._send(record, request_id)

    async def publish(self, payload: Mapping[str, Any], **options: Unpack[RequestOptions]) -> Published:
        """Publish a request and return once the broker has it. `answers` has its answer, here or in another process.

        Raises NotPublished, Closed; ValueError for what the contract refuses.
        """
        request = self._request(payload, options)
        self._insist_open()
        return await self._asking.publish(request, self._record(request, self._lane), content_digest(request))

    async def answers(self, *, since: datetime | None = None, group_id: str | None = None) -> AsyncIterator[Answer]:
        """Answers on the reply topic as they come, other callers' there too, and those that are not `ok`.

        From now on, or from `since`; or in a consumer group, where it left off. Each call reads anew. An answer that comes
        twice is left out, and so is one that bears the name of a request of this client but belongs to another record. For
        a request that another process published compare `event_id` with its `Published.event_id`.

        In a group, answers are committed once the next ones are asked for, so that none is lost and some may come again.
        Raises Unreachable, TopicMissing; Closed when the client is closed meanwhile.
        """
        ended = self._insist_open()
        reader = TopicReader(self.reply_topic, self._options, since=since, group_id=group_id, lane=self._lane)
        await reader.start()
        seen = Seen()
        try:
            while not ended.done():
                for record in await reader.next():
                    answer = await self._asking.answer_of(record, seen)
                    if answer is not None:
                        yield answer
            raise ended.result()
        finally:
            await reader.stop()

    async def _cancel(self, published: Published, reason: str | None) -> None:
        await self.cancel(published.request_id, agent_id=published.agent_id, event_id=published.event_id, reason=reason)

    async def _deltas_lane(self) -> int:
        """The partition of the deltas that is this client's; it is read from now on."""
        if self._lane_of_deltas is None:
            count = await self._open_publisher().partitions(self.topics.deltas, self._publish_timeout_s)
            self._lane_of_deltas = self._lane if self._lane is not None else random.randrange(count)
        await self._deltas.start(self._lane_of_deltas, self._publish_timeout_s)
        return self._lane_of_deltas

    async def _send(self, record: Outgoing, request_id: str) -> Published:
        return await self._open_publisher().publish(record, request_id, self._publish_timeout_s)

    def _request(self, payload: Mapping[str, Any], options: RequestOptions) -> Request:
        return request_of(payload, options, self._agent_id)

    def _record(self, request: Request, lane: int | None, *, stream: bool = False) -> Outgoing:
        return outgoing(
            request,
            self.topics,
            reply_topic=self.reply_topic,
            source=self._source,
            now=datetime.now(UTC),
            lane=lane,
            stream=stream,
        )

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

    def _open_publisher(self) -> Publisher:
        self._insist_open()
        assert self._publisher is not None
        return self._publisher

    def _finish(self, error: HeadraceError) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(error)
        self._asking.end(error)

    def _reading_ended(self, reading: asyncio.Task[None]) -> None:
        """No task of ours ends unseen: without it nobody would ever be answered."""
        if not reading.cancelled() and (error := reading.exception()) is not None:
            log.error("the log is not read any more", exc_info=error)
            ended = Closed(f"the log is not read any more: {error!r}")
            ended.__cause__ = error
            self._finish(ended)
