"""Who does what with which topic and group.

Read and Write imply Describe (https://kafka.apache.org/41/security/authorization-and-acls/). Idempotent producers need no ACL on
the cluster since KIP-679; control alone is transactional, to send dead letters again. DescribeConfigs is left out but for jobs
that compare topics' settings or tell of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from ops.admin.forget import logs_about
from ops.admin.tenants import topics_of_tenants
from ops.processes.control import topics_of_control
from ops.processes.front import topics_of_front
from ops.processes.groups import Groups, groups_of_control, groups_of_supervisor, groups_of_worker
from ops.processes.service import both
from ops.processes.ui import topics_of_ui
from ops.processes.worker import needed_topics
from ops.ui.fleet import starts
from streams.actions.redriver import redrive_id
from streams.limits.build import limits_group
from streams.settings import Settings
from streams.tenants.access import named_principals, users_of
from topics.access import READ, READ_WRITE
from topics.plan import Needs

Role = Literal["worker", "control", "front", "ui", "up", "topics", "keys", "tenants", "forget", "producer", "consumer"]
Resource = Literal["topic", "group", "transactional-id", "cluster"]
Pattern = Literal["literal", "prefixed"]

TOPICS_JOB: Final = ("Create", "Describe", "DescribeConfigs")
CLUSTER: Final = "kafka-cluster"
"""The name that Kafka gives its one resource of this kind."""
ALTERS: Final = ("Alter", "AlterConfigs")
"""Besides, for `topics apply --allow-repartition` and `--alter-configs`."""


@dataclass(frozen=True, slots=True, order=True)
class Acl:
    """An operation that is allowed on a resource, from any host."""

    resource: Resource
    name: str
    operation: str
    pattern: Pattern = "literal"

    def __str__(self) -> str:
        where = f"{self.resource}s that begin with" if self.pattern == "prefixed" else self.resource
        return f"{self.operation} on {where} {self.name}"


def acls_of(role: Role, settings: Settings, *, alters: bool = False) -> tuple[Acl, ...]:
    """What the role needs in a fleet with these settings, in order. `alters`: of the topics job, to change what is there."""
    return tuple(sorted(set(ROLES[role].acls(settings, alters))))


def _needed(topics: Needs, groups: Groups) -> Iterator[Acl]:
    for topic, operations in topics.items():
        for operation in operations:
            yield Acl("topic", topic, operation)
    for group, operations in groups.items():
        for operation in operations:
            yield Acl("group", group, operation)


def _worker(settings: Settings, _alters: bool) -> Iterator[Acl]:
    yield from _of_workers(settings, needed_topics(settings), groups_of_worker(settings))


def _of_workers(settings: Settings, topics: Needs, groups: Groups) -> Iterator[Acl]:
    """Answers go to topics that callers have made, so that their prefix is allowed, and with it the fronts' topic."""
    names, prefixes = settings.topics.names, settings.topics.reply_to_prefixes
    if not settings.providers:  # the settings at hand are not the workers': they may share limits
        topics, groups = {**topics, names.leases: READ_WRITE}, {**groups, limits_group(settings): READ}
    yield from _needed({topic: needs for topic, needs in topics.items() if not topic.startswith(prefixes)}, groups)
    for prefix in prefixes:
        if not any(prefix.startswith(other) for other in prefixes if other != prefix):
            yield Acl("topic", prefix, "Write", "prefixed")


def _control(settings: Settings, _alters: bool) -> Iterator[Acl]:
    yield from _needed(topics_of_control(settings), groups_of_control(settings))
    yield _redrives(settings)


def _redrives(settings: Settings) -> Acl:
    return Acl("transactional-id", redrive_id(settings.kafka), "Write")


def _front(settings: Settings, _alters: bool) -> Iterator[Acl]:
    yield from _needed(topics_of_front(settings), {})


def _ui(settings: Settings, _alters: bool) -> Iterator[Acl]:
    ui = settings.ui
    tokens = (ui.viewer_token_env, ui.viewer_token_file, ui.operator_token_env, ui.operator_token_file)
    logs_in = ui.proxy.header is not None or any(each is not None for each in tokens)
    yield from _needed(topics_of_ui(settings, may_act=logs_in or ui.allow_actions), {})


def _up(settings: Settings, _alters: bool) -> Iterator[Acl]:
    topics = both(topics_of_control(settings), needed_topics(settings))
    yield from _of_workers(settings, topics, groups_of_supervisor(settings))
    yield _redrives(settings)


def _topics(settings: Settings, alters: bool) -> Iterator[Acl]:
    for topic in settings.topics.names.all:
        for operation in (*TOPICS_JOB, *(ALTERS if alters else ())):
            yield Acl("topic", topic, operation)


def _keys(settings: Settings, _alters: bool) -> Iterator[Acl]:
    yield Acl("topic", settings.topics.names.front_keys, "Read")
    yield Acl("topic", settings.topics.names.front_keys, "Write")


def _tenants(settings: Settings, _alters: bool) -> Iterator[Acl]:
    """ACLs and quotas are the cluster's: who may set a tenant's may set everybody's. What no tenant needs is not asked for.

    Alter implies Describe, and AlterConfigs DescribeConfigs.
    """
    for spec in topics_of_tenants(settings):
        for operation in ("Create", "Describe", "AlterConfigs"):
            yield Acl("topic", spec.name, operation)
    principals = named_principals(settings.tenants)
    rights = ("Alter",) if principals else ()
    quotas = ("AlterConfigs",) if users_of(sorted(principals)) else ()
    for operation in (*rights, *quotas):
        yield Acl("cluster", CLUSTER, operation)


def _forget(settings: Settings, _alters: bool) -> Iterator[Acl]:
    """Of agents of any tenant. DescribeConfigs: how long what cannot be deleted stays, as the broker has it."""
    names = settings.topics.names
    changed = (names.cache_entries, names.admin)
    read = {topic for topic, _ in starts(names)}
    yield from _needed({**dict.fromkeys(read, READ), **dict.fromkeys(changed, READ_WRITE)}, {})
    for topic in logs_about(names, "", *settings.tenants):
        if topic not in changed:
            yield Acl("topic", topic, "Describe")
        yield Acl("topic", topic, "DescribeConfigs")


def _producer(settings: Settings, _alters: bool) -> Iterator[Acl]:
    for topic in settings.topics.names.requests:
        yield Acl("topic", topic, "Write")


def _consumer(settings: Settings, _alters: bool) -> Iterator[Acl]:
    yield Acl("topic", settings.topics.names.responses, "Read")


@dataclass(frozen=True, slots=True)
class _Role:
    about: str
    acls: Callable[[Settings, bool], Iterator[Acl]]


ROLES: Final[Mapping[Role, _Role]] = {
    "worker": _Role("a worker", _worker),
    "control": _Role("a control process", _control),
    "front": _Role("a front", _front),
    "ui": _Role("a control room", _ui),
    "up": _Role("`headrace up`: its control, its workers and itself", _up),
    "topics": _Role("`headrace topics apply` and `check`", _topics),
    "keys": _Role("`headrace keys`", _keys),
    "tenants": _Role("`headrace tenants apply`", _tenants),
    "forget": _Role("`headrace forget`", _forget),
    "producer": _Role("who writes requests to Kafka", _producer),
    "consumer": _Role("who reads answers from Kafka, in no group", _consumer),
}
