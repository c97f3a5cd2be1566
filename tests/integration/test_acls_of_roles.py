"""The ACLs that `headrace acls` prints are enough, and none of them is too much: each one that is missing is named in one line.

On a broker with SASL_SSL that denies by default. By hand: the ACLs, as `kafka-acls` would set them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError, TransactionalIdAuthorizationFailed

from ops.acls import ROLES, Acl, Role, acls_of
from ops.admin import front_keys
from ops.processes.control import topics_of_control
from ops.processes.front import topics_of_front
from ops.processes.groups import groups_of_control, groups_of_supervisor, groups_of_worker
from ops.processes.service import CannotStartError, both, check_start
from ops.processes.ui import topics_of_ui
from ops.processes.worker import needed_topics
from streams.actions.redriver import redrive_id
from streams.kafka import provision
from streams.kafka.admin import running_admin
from streams.kafka.provision import ProvisionError
from streams.kafka.sealed import unsealed
from streams.settings import Settings, load_settings
from tests.support.acls import Acls
from tests.support.guarded_broker import PASSWORD, GuardedBroker, guarded
from tests.support.pipeline import delete_topics
from topics import catalogue

__all__ = ["guarded"]

pytestmark = pytest.mark.long

PREFIX: Final = "team."
ROLES_HERE: Final = [role for role in ROLES if role not in ("tenants", "forget")]
"""The two others: test_acls_of_jobs.py."""
_WITHIN_S: Final = 20
_DENIED: Final = 29


@dataclass(slots=True)
class House:
    """A broker with a fleet's topics, on which each role has the ACLs that it needs."""

    guarded: GuardedBroker
    acls: Acls
    password_file: Path

    def settings(self, role: Role) -> Settings:
        return load_settings(
            environ={
                "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": self.guarded.servers("SAFE"),
                "HEADRACE_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
                "HEADRACE_KAFKA__SASL_MECHANISM": "SCRAM-SHA-512",
                "HEADRACE_KAFKA__SASL_USERNAME": f"headrace-{role}",
                "HEADRACE_KAFKA__SASL_PASSWORD_FILE": str(self.password_file),
                "HEADRACE_KAFKA__TLS_CA_FILE": str(self.guarded.ca_file),
                "HEADRACE_TOPICS__PREFIX": PREFIX,
                "HEADRACE_TOPICS__PARTITIONS": "12",
                "HEADRACE_PROVIDERS__0__NAME": "sim",
                "HEADRACE_PROVIDERS__0__ENDPOINTS__0__URL": "http://127.0.0.1:9/v1",
            }
        )

    def acls_of(self, role: Role) -> tuple[Acl, ...]:
        return acls_of(role, self.settings(role))

    async def works(self, role: Role) -> None:
        """What the role does first: raises what a process or command of it says."""
        settings = self.settings(role)
        names, options = settings.topics.names, settings.kafka.client_options()
        match role:
            case "worker":
                await check_start(settings, needed_topics(settings), groups_of_worker(settings))
            case "control":
                await check_start(settings, topics_of_control(settings), groups_of_control(settings))
                await _fences(settings)
            case "front":
                await check_start(settings, topics_of_front(settings))
            case "ui":
                await check_start(settings, topics_of_ui(settings, may_act=False))
            case "up":
                needed = both(topics_of_control(settings), needed_topics(settings))
                await check_start(settings, needed, groups_of_supervisor(settings))
                await _fences(settings)
            case "topics":
                report = await provision.check(options, catalogue(12, names=names))
                said = [*map(str, report.differences), *report.denied, *report.notes, *await _not_made(settings)]
                if said:
                    raise ProvisionError("; ".join(said))
            case "keys":
                await front_keys.create(settings, {"name": "a"})
                await front_keys.every(settings)
            case "producer":
                async with AIOKafkaProducer(**options, enable_idempotence=True) as producer:
                    for topic in names.requests:
                        await producer.send_and_wait(topic, b"{}")
            case "consumer":
                async with AIOKafkaConsumer(names.responses, **options) as consumer:
                    await consumer.getmany(timeout_ms=500)

    async def fault(self, role: Role) -> str:
        """What it says where an ACL is missing; empty where it works."""
        try:
            await self.works(role)
        except (CannotStartError, ProvisionError, KafkaError) as error:
            return f"{type(error).__name__} {error}"
        return ""


@pytest.fixture
async def house(guarded: GuardedBroker, tmp_path: Path) -> AsyncIterator[House]:
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    async with Acls(guarded.plain_options) as acls:
        made = House(guarded, acls, file)
        names = made.settings("worker").topics.names
        assert not (await provision.apply(guarded.plain_options, catalogue(12, names=names))).differences
        for role in ROLES_HERE:
            await guarded.set_password(PASSWORD, f"headrace-{role}")
            await acls.grant(f"User:headrace-{role}", made.acls_of(role))
        yield made
        for role in ROLES_HERE:
            await acls.take(f"User:headrace-{role}", made.acls_of(role))


async def _fences(settings: Settings) -> None:
    """What control does before it sends dead letters again."""
    options = settings.kafka.client_options()
    async with AIOKafkaProducer(**unsealed(options), transactional_id=redrive_id(settings.kafka)):
        pass


async def _not_made(settings: Settings) -> list[str]:
    """Topics that this user may not create; none is made: the broker is asked whether it would."""
    async with running_admin(settings.kafka.client_options()) as admin:
        wanted = [NewTopic(name, 1, 1) for name in settings.topics.names.all]
        response = await admin.create_topics(wanted, validate_only=True)
    return [f"not created: {name}" for name, code, *_ in response.topic_errors if code == _DENIED]


async def eventually(house: House, role: Role, *, works: bool) -> str:
    """What the role says once the broker has read of its ACLs."""
    said = ""
    async with asyncio.timeout(_WITHIN_S):
        while bool(said := await house.fault(role)) == works:  # noqa: ASYNC110 - a broker tells nobody
            await asyncio.sleep(0.1)
    return said


@pytest.mark.parametrize("role", ROLES_HERE)
async def test_a_role_works_with_its_acls_and_each_one_that_is_missing_is_named(house: House, role: Role) -> None:
    """stolostron/multicluster-global-hub#2817: lists of ACLs that were never tried lack the group's.
    strimzi/strimzi-kafka-oauth#71: a reader without Read gets nothing, and no word of it.
    kafka-ops/julie#95: what may be written may not be read.
    """
    await eventually(house, role, works=True)
    principal = f"User:headrace-{role}"
    for acl in house.acls_of(role):
        await house.acls.take(principal, [acl])
        said = await eventually(house, role, works=False)
        await house.acls.grant(principal, [acl])
        await eventually(house, role, works=True)
        assert _names(said, acl, role), f"{role} without {acl}: {said}"


def _names(said: str, acl: Acl, role: Role) -> bool:
    if "\n" in said:
        return False
    if role in ("producer", "consumer"):  # a client's own words
        return TopicAuthorizationFailedError.__name__ in said and acl.name in said
    if acl.resource == "transactional-id":  # the client's words; control's log names the id
        return TransactionalIdAuthorizationFailed.__name__ in said
    if role == "topics":
        return acl.name in said
    name = f"{PREFIX}agent.responses.front" if acl.pattern == "prefixed" else acl.name
    return f"this user needs {acl.operation} on {acl.resource} {name}" in said


async def test_a_topics_job_without_create_names_the_topic(house: House) -> None:
    settings, principal = house.settings("topics"), "User:headrace-topics"
    names = settings.topics.names
    await eventually(house, "topics", works=True)
    create = Acl("topic", names.front_claims, "Create")
    await house.acls.take(principal, [create])
    await eventually(house, "topics", works=False)
    await delete_topics(house.guarded.plain_options, [names.front_claims])
    report = await provision.apply(settings.kafka.client_options(), catalogue(12, names=names))
    (said,) = report.denied
    assert said.endswith("an ACL is missing, this user needs Create on topic team.agent.claims")
    assert [each.kind for each in report.differences] == ["missing"]
    await house.acls.grant(principal, [create])


async def test_without_any_acl_nobody_may_do_anything(house: House) -> None:
    for role in ROLES_HERE:
        await house.acls.take(f"User:headrace-{role}", house.acls_of(role))
    said = [await eventually(house, role, works=False) for role in ROLES_HERE]
    for role in ROLES_HERE:
        await house.acls.grant(f"User:headrace-{role}", house.acls_of(role))
    assert all(said)
