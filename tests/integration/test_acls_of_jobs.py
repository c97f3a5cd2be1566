"""The ACLs of `headrace tenants apply` and `headrace forget` are enough; without one of them the command says what is missing.

On a broker with SASL_SSL that denies by default.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from ops.acls import Acl, Role, acls_of
from ops.admin import forget, tenants
from ops.admin.actions import waiting_by_class
from ops.admin.records import open_writer
from ops.admin.request import find_request
from ops.admin.status import look as look_at
from streams.cache.key import owner_tag
from streams.errors import HeadraceError
from streams.kafka import provision
from streams.settings import Settings, load_settings
from tests.support.acls import Acls
from tests.support.cli import headrace
from tests.support.guarded_broker import PASSWORD, GuardedBroker, guarded
from tests.support.pipeline import delete_topics
from topics import catalogue

__all__ = ["guarded"]

pytestmark = pytest.mark.long
_WITHIN_S = 30
_OF_TOPICS = ("Create", "Describe", "AlterConfigs")


@dataclass(slots=True)
class House:
    """A broker with a fleet's topics, and users that may do nothing yet."""

    guarded: GuardedBroker
    acls: Acls
    password_file: Path
    kept: str = "2h"

    def file(self, role: Role) -> Path:
        """The same as a file."""
        path = self.password_file.with_name(f"{role}.toml")
        path.write_text(
            f"""
[kafka]
bootstrap_servers = "{self.guarded.servers("SAFE")}"
security_protocol = "SASL_SSL"
sasl_mechanism = "SCRAM-SHA-512"
sasl_username = "{role}"
sasl_password_file = "{self.password_file}"
tls_ca_file = "{self.guarded.ca_file}"
[topics]
partitions = 12
[tenants.acme]
principals = ["User:acme"]
quotas = {{ produce = "1MB/s" }}
retention = {{ requests = "{self.kept}" }}
"""
        )
        return path

    def settings(self, role: Role) -> Settings:
        return load_settings(self.file(role), environ={})

    async def missing(self, role: Role, acls: Collection[Acl], said: Callable[[], Awaitable[str]], *words: str) -> str:
        """What is said without the ACLs, once it has all the words; the ACLs are there again afterwards."""
        await self.acls.take(f"User:{role}", acls)
        told, missed = "", list(words)
        try:
            async with asyncio.timeout(_WITHIN_S):
                while missed:  # a broker tells nobody
                    told = await said()
                    missed = [word for word in words if word not in told]
        except TimeoutError:
            taken = sorted(map(str, acls))
            raise AssertionError(f"without {taken}: {told or 'all is well'}; not told: {missed}") from None
        await self.acls.grant(f"User:{role}", acls)
        return told


@pytest.fixture
async def house(guarded: GuardedBroker, tmp_path: Path) -> AsyncIterator[House]:
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    async with Acls(guarded.plain_options) as acls:
        assert not (await provision.apply(guarded.plain_options, catalogue(12))).differences
        for role in ("tenants", "forget"):
            await guarded.set_password(PASSWORD, role)
        yield House(guarded, acls, file)


async def eventually(works: Callable[[], Awaitable[str]]) -> None:
    said = "nothing"
    try:
        async with asyncio.timeout(_WITHIN_S):
            while said := await works():  # noqa: ASYNC110 - a broker tells nobody
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(said) from None


def needs(*acls: Acl) -> list[str]:
    """What a line says of them."""
    return [f"this user needs {acl.operation} on {acl.resource} {acl.name}" for acl in acls]


async def test_tenants_are_applied_with_the_acls_of_their_role_and_each_missing_one_is_told(house: House) -> None:
    """From nothing: topics, rights and a quota. stolostron/multicluster-global-hub#2817 in kind: lists that were never tried.
    MaterializeInc/materialize#18853: settings that may not be seen come as an empty answer, and were taken for the defaults.
    """
    settings = house.settings("tenants")
    acls = acls_of("tenants", settings)
    await house.acls.grant("User:tenants", acls)

    async def applied() -> str:
        try:
            _, plan = await tenants.apply(house.settings("tenants"), prune=True)
        except HeadraceError as error:
            return f"{type(error).__name__} {error}"
        return "; ".join(plan.lines(prune=True))

    async def compared() -> str:
        return "; ".join((await tenants.compare(house.settings("tenants"))).lines(prune=True))

    async def gone(topics: Collection[str]) -> None:
        await delete_topics(house.guarded.plain_options, topics)

    await eventually(applied)
    topics = {acl.name for acl in acls if acl.resource == "topic"}
    assert topics.isdisjoint(settings.topics.names.common), "topics of no tenant are another job's"
    by_operation = {
        name: [acl for acl in acls if acl.operation == name and acl.resource == "topic"] for name in _OF_TOPICS
    }
    assert {len(those) for those in by_operation.values()} == {len(topics)}

    for acl in acls:
        if acl.resource == "cluster":
            said = await house.missing("tenants", [acl], applied, "on the cluster")
            assert tenants.HOW in said
    await eventually(applied)
    for look in (compared, applied):
        await house.missing("tenants", by_operation["Describe"], look, *needs(*by_operation["Describe"]))
        hidden = needs(*(Acl("topic", name, "DescribeConfigs") for name in topics))
        assert tenants.HOW in await house.missing("tenants", by_operation["AlterConfigs"], look, *hidden)

    await eventually(applied)
    await gone(topics)
    await house.missing("tenants", by_operation["Create"], applied, *needs(*by_operation["Create"]))
    await eventually(applied)

    # Who may see settings and not change them is told what could not be set, and that it was not.
    seen = [Acl("topic", name, "DescribeConfigs") for name in topics]
    await house.acls.grant("User:tenants", seen)
    await eventually(compared)
    house.kept = "3h"
    requests = settings.topics.names.requests_of("acme").values()
    unset = [acl for acl in by_operation["AlterConfigs"] if acl.name in requests]
    await house.acls.take("User:tenants", by_operation["AlterConfigs"])
    told = await headrace("tenants", "apply", "--yes", settings=house.file("tenants"))
    assert told.code == 1
    for acl, words in zip(unset, needs(*unset), strict=True):
        (line,) = [line for line in told.out.splitlines() if words in line]
        assert line.startswith(acl.name)
        assert line.endswith(tenants.HOW)
    assert "retention.ms is 7200000, wanted 10800000" in told.out
    assert "as they should be" not in told.out
    await house.acls.grant("User:tenants", by_operation["AlterConfigs"])
    await eventually(applied)


async def test_an_agent_is_forgotten_with_the_acls_of_that_role_and_each_missing_one_is_told(house: House) -> None:
    """confluentinc/ksql#9812 and adevinta/zoe#20 in kind: an error of the client in place of the ACL, or of what can be seen."""
    settings = house.settings("forget")
    names, options = settings.topics.names, house.guarded.plain_options
    made = tenants.topics_of_tenants(settings)
    assert not (await provision.apply(options, made, alter_configs=True)).differences
    acls = acls_of("forget", settings)
    await house.acls.grant("User:forget", acls)
    logs = forget.logs_about(names, "", "acme")
    wanted = {*logs, "cache.disk.path"}

    async def looked() -> str:
        try:
            both = [await forget.look(settings, "ann", tenant, datetime.now(UTC)) for tenant in ("", "acme")]
        except HeadraceError as error:
            return f"{type(error).__name__} {error}"
        if unseen := {line for found in both for line in found.unseen}:
            return "; ".join(sorted(unseen))
        return "" if {each.topic for found in both for each in found.left} == wanted else "not all are told of"

    async def forgotten() -> str:
        async with open_writer(options) as producer:
            entry = orjson.dumps({"owner": owner_tag("ann", "")})
            await producer.send_and_wait(names.cache_entries, entry, b"0" * 16)
        try:
            found = await forget.look(settings, "ann", "", datetime.now(UTC) + timedelta(hours=1))
            assert found.keys
            await forget.forget(settings, found, "test", None, 0.5)
        except HeadraceError as error:
            return f"{type(error).__name__} {error}"
        return ""

    await eventually(looked)
    await eventually(forgotten)
    changed = (names.cache_entries, names.admin)
    one_by_one = [acl for acl in acls if acl.name in changed and acl.operation != "DescribeConfigs"]
    fleet = [acl for acl in acls if acl.operation == "Read" and acl not in one_by_one]
    untold = {each: [acl for acl in acls if acl.operation == each] for each in ("Describe", "DescribeConfigs")}
    assert len(acls) == len(one_by_one) + len(fleet) + sum(map(len, untold.values())), "and no other is on the list"

    for acl in one_by_one:
        await house.missing("forget", [acl], forgotten, *needs(acl))
        await eventually(forgotten)
    said = await house.missing("forget", fleet, forgotten, *needs(*fleet))
    assert "FleetUnseenError" in said
    await eventually(forgotten)
    for those in untold.values():
        assert forget.HOW in await house.missing("forget", those, looked, *needs(*those))
        await eventually(looked)

    # Others that read the fleet and took what they may not read for what is not there.
    settings = house.settings("forget")
    assert await said_by(waiting_by_class(settings)) == needs(Acl("group", settings.kafka.group_id, "Describe"))[0]
    hidden = Acl("topic", names.requests_of("")["normal"], "Describe")
    await house.missing("forget", [hidden], lambda: said_by(waiting_by_class(settings)), *needs(hidden))
    ends = [
        Acl("topic", topic, "Read") for topic in (*names.all_responses, names.front_responses, *names.all_dead_letters)
    ]
    await house.acls.grant("User:forget", ends)
    samples = Acl("topic", names.metric_samples, "Read")
    told = await house.missing("forget", [samples], lambda: said_by(find_request(settings, "r-1", 60)), *needs(samples))
    assert "no worker" not in told
    state = await look_at(settings)
    (topics,) = [part for part in state.parts if part.name == "topics"]
    assert any(f"{names.front_keys}: " in line for line in topics.more)
    assert topics.state == "degraded", "what may not be seen is not as it should be"


async def said_by(work: Awaitable[object]) -> str:
    """The line in which a command ends; empty where it does what it does."""
    try:
        await work
    except HeadraceError as error:
        return str(error).removeprefix("an ACL is missing, ")
    return ""
