"""Keys of the front, made, listed and revoked on their topic."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError
from pydantic import ValidationError

from ops.admin.records import open_reader, partitions_of, read_until
from ops.load.traffic import SendError
from schemas.front_key import FrontKey
from streams.app import producer_options
from streams.front.keys.ring import MOST_VALUE_BYTES
from streams.front.keys.rules import unusable
from streams.front.keys.secret import ID_CHARS, SECRET_BYTES, hash_of, is_hash, new_key
from streams.kafka.list_offsets import begin_offsets, end_offsets
from streams.kafka.provision import ProvisionError
from streams.kafka.reconnect import make_producer
from streams.settings import Settings
from topics.access import missing_acl
from topics.headers import message_headers

_SOURCE: Final = "/headrace/keys"


class KeyTooLargeError(ValueError):
    """No front would believe the record."""


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key as it stands on the topic."""

    hash: str
    key: FrontKey

    @property
    def id(self) -> str:
        """The beginning of its hash, for people."""
        return self.hash[:ID_CHARS]

    def state(self, now: datetime) -> str:
        """`usable`, `revoked` or `expired`."""
        return unusable(self.key, now) or "usable"

    def document(self, now: datetime) -> dict[str, Any]:
        """What `--json` prints: no secret, for nobody has it."""
        return {"id": self.id, "state": self.state(now), **self.key.model_dump(mode="json", exclude={"revoked"})}


async def create(settings: Settings, fields: Mapping[str, Any]) -> tuple[str, KnownKey]:
    """Make a key; its secret, which is nowhere else, and what stands on the topic. `fields`: of FrontKey.

    Raises ValidationError and KeyTooLargeError for fields that are out of bounds, ProvisionError, SendError.
    """
    key = FrontKey.model_validate({**fields, "created": datetime.now(UTC)})
    if len(key.to_json()) > MOST_VALUE_BYTES:
        raise KeyTooLargeError(f"its models are longer than the {MOST_VALUE_BYTES} bytes of a key's record")
    secret = new_key(secrets.token_bytes(SECRET_BYTES))
    hashed = hash_of(secret)
    assert hashed is not None
    await _check_topic(settings)
    await _write(settings, {hashed: key.to_json()})
    return secret, KnownKey(hashed, key)


async def every(settings: Settings) -> list[KnownKey]:
    """All keys, the oldest first. Raises ProvisionError."""
    found: dict[str, FrontKey] = {}
    options = settings.kafka.client_options()
    async with open_reader(options, isolation_level="read_committed") as consumer:
        partitions = await partitions_of(consumer, [settings.topics.names.front_keys])
        begin, stop = await begin_offsets(consumer, partitions), await end_offsets(consumer, partitions)
        async for record in read_until(consumer, begin, stop):
            if record.key is None or not is_hash(record.key):
                continue
            found.pop(record.key.decode(), None)
            try:
                found[record.key.decode()] = FrontKey.model_validate_json(record.value or b"")
            except ValidationError:
                continue  # gone, or none
    return sorted((KnownKey(*each) for each in found.items()), key=lambda known: known.key.created)


def named(keys: list[KnownKey], name_or_id: str) -> list[KnownKey]:
    """Those of this name, or the one of this id."""
    return [known for known in keys if name_or_id in (known.key.name, known.id, known.hash)]


async def revoke(settings: Settings, keys: list[KnownKey], *, forget: bool = False) -> None:
    """Make keys open nothing from now on; with `forget` their records go too. Raises SendError."""
    await _write(
        settings,
        {known.hash: None if forget else known.key.model_copy(update={"revoked": True}).to_json() for known in keys},
    )


async def _check_topic(settings: Settings) -> None:
    """Raises ProvisionError where the topic is not there: a client that produces to it by name might create it."""
    async with open_reader(settings.kafka.client_options()) as consumer:
        await partitions_of(consumer, [settings.topics.names.front_keys])


async def _write(settings: Settings, records: Mapping[str, bytes | None]) -> None:
    topic = settings.topics.names.front_keys
    producer: AIOKafkaProducer = make_producer(**producer_options(settings))
    try:
        await producer.start()
        for hashed, value in records.items():
            headers = message_headers("front_key", event_id=hashed[:ID_CHARS], source=_SOURCE, time=datetime.now(UTC))
            await producer.send_and_wait(topic, value, key=hashed.encode(), headers=headers)
    except TopicAuthorizationFailedError as error:
        raise ProvisionError(f"{topic}: {missing_acl('Write', topic)}") from error
    except (KafkaError, TimeoutError, OSError) as error:
        raise SendError(f"{topic}: not written: {str(error) or repr(error)}") from error
    finally:
        await producer.stop()
