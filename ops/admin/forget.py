"""What an agent's requests left: found, deleted where it can be, and told where it cannot.

Deleted are cached answers and the memory of finished requests: by records without a value on `cache.entries`, which every worker
reads into its store and its memory, and says so; and the agent's rows in the control room's index. What stands on logs that are
deleted by age alone stays until then: it is named, with the day.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ops.admin.actions import make_action, outcomes_from, write
from ops.admin.cache import delete_keys
from ops.admin.records import open_reader, partitions_of, read_until
from ops.admin.whole_fleet import see_fleet
from schemas.admin import AdminOutcome
from schemas.cache_entry import owner_of
from streams.cache.key import owner_tag
from streams.kafka import provision
from streams.kafka.list_offsets import begin_offsets, end_offsets
from streams.settings import Settings
from topics.catalogue import TopicSpec
from topics.names import TopicNames

HOW: Final = "`headrace acls --role forget` prints what it takes"
_WEEK_MS: Final = 7 * 86_400_000
"""After which a broker closes a segment where nobody says otherwise."""


@dataclass(frozen=True, slots=True)
class Left:
    """A log that may hold what the agent's requests said, and the last moment at which it does; None: there is none."""

    topic: str
    what: str
    until: datetime | None

    def __str__(self) -> str:
        when = "for good" if self.until is None else f"until {self.until:%Y-%m-%d %H:%M} UTC at the latest"
        return f"{self.topic}: {self.what}, {when}"


@dataclass(frozen=True, slots=True)
class Found:
    """What there is of an agent. `keys`: of entries that are its; `unknown`: entries that do not say whose they are;
    `unseen`: what could not be told of logs, and why, a line each.
    """

    owner: str
    before: datetime
    keys: tuple[bytes, ...]
    unknown: int
    left: tuple[Left, ...]
    unseen: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What came of it. `said`: each worker's and control room's answer; `silent`: workers that have not answered."""

    action_id: str
    deleted: int
    said: tuple[AdminOutcome, ...]
    silent: tuple[str, ...]


async def look(settings: Settings, agent_id: str, tenant: str, before: datetime) -> Found:
    """Find it; nothing is changed. Raises HeadraceError."""
    owner = owner_tag(agent_id, tenant)
    keys, unknown = await _entries(settings, owner, before)
    return Found(owner, before, keys, unknown, *await _logs(settings, tenant))


async def forget(settings: Settings, found: Found, requested_by: str, reason: str | None, within_s: float) -> Forgotten:
    """Delete it, ask workers and the control room, and wait for their answers. Doing it again is fine. Raises HeadraceError."""
    options, topic = settings.kafka.client_options(), settings.topics.names.cache_entries
    workers = {each.sample.worker_id for each in (await see_fleet(settings)).workers(time.time())}
    await delete_keys(options, topic, found.keys)
    action = make_action(
        "forget",
        requested_by,
        owner=found.owner,
        before=found.before,
        entries_until=await _ends(options, topic),
        reason=reason,
        touches=len(found.keys),
    )
    offset = await write(settings, action)
    said: dict[str, AdminOutcome] = {}
    try:
        async with asyncio.timeout(within_s), aclosing(outcomes_from(settings, offset)) as written:
            async for noted in written:
                record = noted.record
                if isinstance(record, AdminOutcome) and record.action_id == action.action_id:
                    said[record.process] = record
                    if workers <= said.keys():
                        break
    except TimeoutError:
        pass
    return Forgotten(action.action_id, len(found.keys), tuple(said.values()), tuple(sorted(workers - said.keys())))


async def _entries(settings: Settings, owner: str, before: datetime) -> tuple[tuple[bytes, ...], int]:
    """Keys of the owner's entries, the answers that its finished requests point at among them; how many say no owner."""
    before_ms = before.timestamp() * 1000
    live: dict[bytes, tuple[str, str | None]] = {}
    options = settings.kafka.client_options()
    async with open_reader(options, isolation_level="read_committed") as consumer:
        partitions = await partitions_of(consumer, [settings.topics.names.cache_entries])
        begins, ends = await begin_offsets(consumer, partitions), await end_offsets(consumer, partitions)
        async for record in read_until(consumer, begins, ends):
            if not record.key:
                continue
            live.pop(record.key, None)
            if record.value is not None and record.timestamp < before_ms:
                try:
                    live[record.key] = owner_of(record.value)
                except ValueError:
                    live[record.key] = "", None
    return tuple(key for key, (whose, _) in live.items() if whose == owner), sum(
        not whose for whose, _ in live.values()
    )


async def _ends(options: Mapping[str, Any], topic: str) -> dict[str, int]:
    async with open_reader(options) as consumer:
        partitions = await partitions_of(consumer, [topic])
        return {str(each.partition): end for each, end in (await end_offsets(consumer, partitions)).items()}


def logs_about(names: TopicNames, *tenants: str) -> Mapping[str, str]:
    """Topics that are deleted by age alone, the fleet's and those of these tenants ("": of no tenant), and what they hold."""
    about = {
        names.front_responses: "answers to fronts",
        names.deltas: "parts of streams",
        names.front_claims: "ids of answers, by a digest of the key",
        names.cancels: "ids of requests",
        names.cache_entries: "what was deleted, until the broker compacts it",
    }
    for own in (names.as_tenant(tenant) for tenant in tenants):
        about |= {
            **dict.fromkeys(own.requests, "requests"),
            own.responses: "answers",
            own.dead_letters: "dead letters",
        }
    return about


async def _logs(settings: Settings, tenant: str) -> tuple[tuple[Left, ...], tuple[str, ...]]:
    """What is left on them, by what the broker says of each; and what it does not say to this user."""
    about = logs_about(settings.topics.names, tenant)
    found = await provision.listing(settings.kafka.client_options(), _specs(settings, about))
    now = datetime.now(UTC)
    left = [
        Left(each.spec.name, about[each.spec.name], _gone_by(each, now)) for each in found if each.found is not None
    ]
    unseen = [
        f"{why}: it may hold {about[each.spec.name]}{', and the day is that of the settings' if each.found else ''} ({HOW})"
        for each in found
        for why in (*each.denied, *(str(fault) for fault in each.differences if fault.kind == "denied"))
    ]
    ttl = timedelta(seconds=settings.cache.disk.ttl)
    files = Left("cache.disk.path", "bytes in files of each worker, which nothing reads any more", now + ttl)
    return (*left, files), tuple(unseen)


def _specs(settings: Settings, about: Mapping[str, str]) -> Sequence[TopicSpec]:
    return [spec for spec in settings.catalogue() if spec.name in about]


def _gone_by(topic: provision.TopicState, now: datetime) -> datetime | None:
    """When the newest record of now is gone: its segment is closed first, then kept for the retention."""
    config = {**topic.spec.config, **((topic.found.config or {}) if topic.found is not None else {})}
    retention_ms = int(config.get("retention.ms", -1))
    if retention_ms < 0:
        return None
    return now + timedelta(milliseconds=retention_ms + int(config.get("segment.ms", _WEEK_MS)))
