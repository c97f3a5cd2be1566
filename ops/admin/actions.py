"""Actions of operators: made, counted, written to `agent.admin`, and what came of them. CLI, API and pages share them."""

from __future__ import annotations

import asyncio
import getpass
import platform
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka.errors import GroupAuthorizationFailedError, KafkaError, TopicAuthorizationFailedError
from aiokafka.structs import TopicPartition
from pydantic import ValidationError

from ops.admin.records import open_reader, open_writer, partitions_of, read_until
from schemas.admin import ADMIN_ACTION, AdminAction, AdminOutcome
from schemas.errors import clip, explain
from streams.actions.wire import Noted, decode, encode
from streams.errors import HeadraceError
from streams.kafka.list_offsets import begin_offsets, end_offsets
from streams.kafka.provision import ProvisionError, denied_topics, starting, usable
from streams.settings import Settings
from streams.windows.backlog import BacklogReader
from topics.access import DESCRIBE, missing_acl
from topics.broker_errors import code_of, explain_error
from topics.names import Priority

CLI: Final = "/headrace/cli"


class ActionError(HeadraceError):
    """An action that is none, or that the broker did not take."""


def make_action(action: str, requested_by: str, **fields: Any) -> AdminAction:
    """An action of that name, with an id of its own. Raises ActionError in one line where a field is wrong."""
    given = {
        "action": action,
        "action_id": uuid.uuid4().hex[:16],
        "requested_by": requested_by[:256],
        "requested_at": datetime.now(UTC),
        **{name: value for name, value in fields.items() if value is not None},
    }
    if isinstance(given.get("reason"), str):
        given["reason"] = clip(given["reason"])
    try:
        return ADMIN_ACTION.validate_python(given)
    except ValidationError as error:
        raise ActionError(explain(error)) from error


def who_i_am() -> str:
    """Who runs the command, as this machine says: user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # an id without a name
        user = "somebody"
    return f"{user}@{platform.node()}"


async def write(settings: Settings, *records: AdminAction | AdminOutcome, source: str = CLI) -> int:
    """Write them in their order; the last one's offset. Raises ProvisionError, ActionError."""
    options, topic = settings.kafka.client_options(), settings.topics.names.admin
    async with open_reader(options) as consumer:
        await partitions_of(consumer, [topic])  # a missing one would be made by the producer's first look
    async with open_writer(options) as producer:
        offset = -1
        for record in records:
            made = encode(record, source)
            try:
                written = await producer.send_and_wait(topic, made.value, made.key, partition=0, headers=made.headers)
            except TopicAuthorizationFailedError:
                raise  # in the writer's words
            except (KafkaError, TimeoutError) as error:
                raise ActionError(f"the broker did not take the action: {error!r}") from error
            offset = written.offset
        return offset


async def read_all(settings: Settings, take: Callable[[Noted], object]) -> None:
    """Hand on what the topic holds, without what is none of ours. Raises ProvisionError."""
    async with open_reader(settings.kafka.client_options(), isolation_level="read_committed") as consumer:
        partitions = await partitions_of(consumer, [settings.topics.names.admin])
        begins, ends = await begin_offsets(consumer, partitions), await end_offsets(consumer, partitions)
        async for record in read_until(consumer, begins, ends):
            if (noted := _decoded(record)) is not None:
                take(noted)


async def outcomes_from(settings: Settings, offset: int) -> AsyncGenerator[Noted, None]:
    """What is written from this offset on, for ever. Raises ProvisionError."""
    place = TopicPartition(settings.topics.names.admin, 0)
    async with open_reader(settings.kafka.client_options(), isolation_level="read_committed") as consumer:
        await partitions_of(consumer, [place.topic])
        consumer.assign([place])
        consumer.seek(place, offset)
        while True:
            for record in (await consumer.getmany(place, timeout_ms=200)).get(place, ()):
                if (noted := _decoded(record)) is not None:
                    yield noted


async def outcomes_of(settings: Settings, action_id: str, offset: int, within_s: float) -> list[AdminOutcome]:
    """What processes say of an action within so many seconds: until none has said anything for a second, once one has."""
    said: list[AdminOutcome] = []
    clock = asyncio.get_running_loop().time
    ends_at = clock() + within_s
    try:
        async with asyncio.timeout_at(ends_at) as bound, aclosing(outcomes_from(settings, offset)) as written:
            async for noted in written:
                if isinstance(noted.record, AdminOutcome) and noted.record.action_id == action_id:
                    said.append(noted.record)
                    bound.reschedule(min(ends_at, clock() + 1.0))
    except TimeoutError:
        pass
    return said


async def waiting_by_class(settings: Settings) -> Mapping[Priority, int]:
    """Requests that are not committed yet, by class: what a pause holds up. Raises ProvisionError."""
    kafka, names = settings.kafka, settings.topics.names
    options = await usable(kafka.client_options())
    if denied := await denied_topics(options, dict.fromkeys(names.requests, DESCRIBE)):
        raise ProvisionError("; ".join(denied))  # else their requests would not be counted
    async with AsyncExitStack() as stack:
        async with starting(options):
            reader = await stack.enter_async_context(BacklogReader(options, kafka.group_id, names))
        try:
            return (await reader.look(round(time.time() * 1000))).lag
        except KafkaError as error:
            if code_of(error) == GroupAuthorizationFailedError.errno:
                raise ProvisionError(missing_acl("Describe", kafka.group_id, "group")) from error
            raise ProvisionError(f"nobody tells what waits: {explain_error(error)}") from error


def _decoded(record: Any) -> Noted | None:
    try:
        return decode(record)
    except ValueError:
        return None
