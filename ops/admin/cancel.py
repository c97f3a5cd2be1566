"""A cancel from a person: written, and the end of its request waited for where it can be seen."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from ops.admin.records import from_the_end, open_reader, partitions_of
from ops.load.traffic import SendError
from schemas.cancel import Cancel
from streams.front.ids import read_id
from streams.kafka.provision import ProvisionError, starting
from streams.kafka.sealed import sealed_producer
from streams.settings import Settings
from topics.access import missing_acl
from topics.headers import CE_ID, REQUEST_ID, message_headers

_SOURCE: Final = "/headrace/cli"
_POLL_MS: Final = 200
_PLACE: Final = re.compile(r"[a-zA-Z0-9._-]{1,249}:[0-9]{1,7}:[0-9]{1,19}").fullmatch


class NotNamedError(ValueError):
    """What was given names no request; the message is one line."""


def cancel_of(request_id: str, agent_id: str | None, record: str | None, reason: str | None) -> Cancel:
    """The cancel of a request. An id that is a place on a topic (the id of a request without one) is its record, too.

    Raises NotNamedError where it names nothing: an id is unique to its agent only, unless a front has given it.
    """
    if record is None and _PLACE(request_id):
        record = request_id
    if agent_id is None and record is None and read_id(request_id) is None:
        raise NotNamedError(
            "an id is unique to its agent only: say --agent, or --record topic:partition:offset; "
            "without them go only ids that a front has given"
        )
    try:
        return Cancel(
            request_id=request_id,
            agent_id=agent_id,
            record=record,
            requested_by=_SOURCE,
            requested_at=datetime.now(UTC),
            reason=reason,
        )
    except ValueError as error:
        raise NotNamedError(str(error).splitlines()[2].strip()) from error


async def write_cancel(settings: Settings, cancel: Cancel, wait_s: float | None) -> Mapping[str, Any] | None:
    """Write it. The response of its request, where one came within `wait_s` seconds on the topics of callers and of fronts.

    Raises ProvisionError, SendError.
    """
    names, options = settings.topics.names, settings.kafka.client_options()
    async with AsyncExitStack() as stack:
        consumer = await stack.enter_async_context(open_reader(options))
        await partitions_of(consumer, [names.cancels])  # a missing one would be made by the producer's first look
        if wait_s is not None:  # from before the cancel: its answer may be there at once
            await from_the_end(consumer, await partitions_of(consumer, [names.responses, names.front_responses]))
        producer = sealed_producer(**options, acks="all", enable_idempotence=True)
        stack.push_async_callback(producer.stop)
        async with starting(options):
            await producer.start()
        headers = message_headers("cancel", event_id=uuid.uuid4().hex, source=_SOURCE, time=datetime.now(UTC))
        try:
            await producer.send_and_wait(
                names.cancels, cancel.to_json(), cancel.request_id.encode(), partition=0, headers=headers
            )
        except TopicAuthorizationFailedError as error:
            raise ProvisionError(missing_acl("Write", names.cancels)) from error
        except (KafkaError, TimeoutError) as error:
            raise SendError(f"the broker did not take the cancel: {error}") from error
        return None if wait_s is None else await _wait(consumer, cancel, wait_s)


async def _wait(consumer: AIOKafkaConsumer, cancel: Cancel, wait_s: float) -> Mapping[str, Any] | None:
    try:
        async with asyncio.timeout(wait_s):
            while True:
                for records in (await consumer.getmany(timeout_ms=_POLL_MS)).values():
                    for record in records:
                        if (found := _answer(record, cancel)) is not None:
                            return found
    except TimeoutError:
        return None


def _answer(record: Any, cancel: Cancel) -> Mapping[str, Any] | None:
    headers = dict(record.headers)
    if headers.get(REQUEST_ID) != cancel.request_id.encode():
        return None
    if cancel.record is not None and headers.get(CE_ID) != cancel.record.encode():
        return None
    try:
        value = orjson.loads(record.value or b"")
    except ValueError:
        return None
    is_its_agents = isinstance(value, dict) and cancel.agent_id in (None, value.get("agent_id"))
    return value if is_its_agents else None
