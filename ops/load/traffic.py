"""Requests out, answers in, and the ledger kept: what an agent does, for many agents at once."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Any, Self

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from ops.admin.records import from_the_end, open_reader, open_writer, partitions_of
from ops.load.ledger import Ledger
from schemas.message import object_in
from streams.errors import HeadraceError
from topics.headers import REQUEST_ID, Headers, request_headers
from topics.names import V1, Priority, TopicNames

_SOURCE = "/headrace/load"
_POLL_MS = 200


class SendError(HeadraceError):
    """The broker did not take a request."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Answer:
    """A response to anybody's request, or a dead letter (status `dead`), as it was read."""

    request_id: str
    status: str
    timestamp_ms: int
    topic: str
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class Traffic:
    """Sends requests and notes in a ledger what comes back, between `async with` and its end.

    Args:
        client_options: of aiokafka's clients: `settings.kafka.client_options()`, or just `bootstrap_servers`.
        ledger: where sends, answers and dead letters are noted.
        reply_topics: topics to read answers from, by default the response topic; all of them must exist.
        with_dead_letters: whether to read the dead-letter topic too.
        names: of the fleet's topics.
        on_answer: called for each response and dead letter after it was noted, others' included.
        max_unacked: `send` waits while so many requests wait for the broker's ack.

    Entering returns once every record written from now on will be read. It raises BrokerUnreachableError and
    TopicMissingError, each with one line for people.
    """

    def __init__(
        self,
        client_options: Mapping[str, Any],
        ledger: Ledger,
        reply_topics: Sequence[str] = (),
        with_dead_letters: bool = True,
        *,
        names: TopicNames = V1,
        on_answer: Callable[[Answer], None] | None = None,
        max_unacked: int = 1000,
    ) -> None:
        self.ledger = ledger
        self._names = names
        self._client_options = dict(client_options)
        self._topics = [*(reply_topics or [names.responses]), *([names.dead_letters] if with_dead_letters else [])]
        self._on_answer = on_answer
        self._slots = asyncio.Semaphore(max_unacked)
        self._unacked: set[asyncio.Future[str]] = set()
        self._send_error: SendError | None = None
        self._moved = asyncio.Event()
        self._stack = AsyncExitStack()
        self._producer: AIOKafkaProducer
        self._reading: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        try:
            consumer = await self._stack.enter_async_context(open_reader(self._client_options))
            await partitions_of(
                consumer, self._names.requests
            )  # missing ones would be made by the producer's first look
            await from_the_end(consumer, await partitions_of(consumer, self._topics))
            self._producer = await self._stack.enter_async_context(open_writer(self._client_options, linger_ms=2))
            self._reading = asyncio.create_task(self._read(consumer))
            self._reading.add_done_callback(lambda _: self._moved.set())
            self._stack.push_async_callback(self._stop_reading)
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def open(self) -> int:
        """Requests handed in that are neither answered nor dead: in the fleet, or still on the way to the broker."""
        return self.ledger.open + len(self._unacked)

    async def send(
        self,
        priority: Priority,
        agent_id: str | None,
        value: Mapping[str, Any] | bytes | None,
        request_id: str | None = None,
        headers: Headers | None = None,
    ) -> asyncio.Future[str]:
        """Hand a request to the producer; waits only while too many wait for the broker's ack.

        Args:
            priority: chooses the topic.
            agent_id: the record's key; None for a record without one, which then needs a value.
            value: the request; bytes go out as they are, None is a tombstone.
            request_id: its name in the ledger; by default the value's own, else `topic:partition:offset`.
            headers: instead of the CloudEvents headers of a request.

        Returns a future of the request's name in the ledger, set by the ack. It fails with SendError if the broker does
        not take the request; who does not await it hears of that from `wait_answered`.
        """
        raw = orjson.dumps(value) if isinstance(value, Mapping) else value
        own_id = request_id_of(raw)
        name = request_id or own_id
        if headers is None:
            event_id = name or f"{agent_id}-{id(raw)}"
            headers = request_headers(event_id=event_id, source=_SOURCE, time=datetime.now(UTC))
        await self._slots.acquire()
        acked: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._unacked.add(acked)
        try:
            key = agent_id.encode() if agent_id is not None else None
            sending = await self._producer.send(self._names.topic_of[priority], raw, key, headers=headers)
        except BaseException as error:
            self._release(acked)
            raise SendError(f"the request cannot be sent: {error}") from error
        sending.add_done_callback(partial(self._acked, acked, name, own_id))
        return acked

    async def wait_answered(self, timeout_s: float) -> bool:
        """Wait until every request sent is answered or dead; False if that takes longer than `timeout_s` seconds.

        Raises SendError if the broker did not take a request, and what ended the reading of answers.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while self.open:
                    self._moved.clear()
                    if self._reading.done():
                        self._reading.result()
                    await self._moved.wait()
        except TimeoutError:
            return False
        finally:
            if self._send_error is not None:
                raise self._send_error
        return True

    async def flush(self) -> None:
        """Wait until the broker has taken, or refused, every request sent. Raises SendError."""
        await self._producer.flush()
        await asyncio.sleep(0)  # the callbacks of the last acks
        if self._send_error is not None:
            raise self._send_error

    def _acked(self, acked: asyncio.Future[str], name: str | None, own_id: str | None, sending: Any) -> None:
        self._release(acked)
        if sending.cancelled() or (error := sending.exception()) is not None:
            reason = "" if sending.cancelled() else str(error) or type(error).__name__
            self._send_error = self._send_error or SendError(f"the broker did not take a request: {reason}")
            if not acked.done():
                acked.set_exception(self._send_error)
                acked.exception()  # seen: whoever does not await it is told by wait_answered
            return
        record = sending.result()
        position = f"{record.topic}:{record.partition}:{record.offset}"
        # An end names the id in the value if that can be read and is a valid one, else the record's position.
        aliases = (position,) if own_id is None else (own_id, position)
        self.ledger.note_sent(name or position, record.timestamp, *aliases)
        if not acked.done():
            acked.set_result(name or position)
        self._moved.set()

    def _release(self, acked: asyncio.Future[str]) -> None:
        self._unacked.discard(acked)
        self._slots.release()
        self._moved.set()

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            for records in (await consumer.getmany(timeout_ms=_POLL_MS)).values():
                for record in records:
                    self._note(record)
            self._moved.set()

    async def _stop_reading(self) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    def _note(self, record: Any) -> None:
        read = _dead_letter if record.topic == self._names.dead_letters else _response
        answer = read(record)
        if answer is None:
            return
        if answer.status == "dead":
            self.ledger.note_dead_letter(answer.request_id, answer.timestamp_ms)
        else:
            self.ledger.note_answer(answer.request_id, answer.status, answer.timestamp_ms)
        if self._on_answer is not None:
            self._on_answer(answer)


def request_id_of(value: bytes | None) -> str | None:
    """The request_id of a request's value, None where there is none or it cannot be read."""
    name = object_in(value).get("request_id")
    return name if isinstance(name, str) and name else None


def _response(record: Any) -> Answer | None:
    """A response; None for a record that is none, which somebody else must have written."""
    try:
        found = orjson.loads(record.value or b"")
        name, status = found["request_id"], found["status"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    named = dict(record.headers).get(REQUEST_ID)
    request_id = named.decode() if named else str(name)
    return Answer(request_id, str(status), record.timestamp, record.topic, record.value, record.headers)


def _dead_letter(record: Any) -> Answer:
    headers = dict(record.headers)
    position = b":".join(headers.get(name, b"?") for name in ("dlq_topic", "dlq_partition", "dlq_offset")).decode()
    request_id = request_id_of(record.value) or position
    return Answer(request_id, "dead", record.timestamp, record.topic, record.value, record.headers)
