"""Make, compare and list the contract's topics on a broker.

`apply` creates what is missing and reports what differs; it changes what exists only where it is told to. Nothing here
asks for a topic by name before it exists: a metadata request for an unknown name makes some brokers create it, with
settings of their own.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.client import CoordinationType
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IncompatibleBrokerVersion,
    KafkaError,
    NodeNotReadyError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
)

from streams.errors import HeadraceError
from streams.kafka.allowed import allowed_operations
from streams.kafka.connection_causes import Asked, ask_all, causes_of, wrong_cluster
from streams.kafka.sealed import CLUSTER_ID, unsealed
from topics.access import Allowed, Operation, missing_acl
from topics.broker_errors import explain_error, name_of
from topics.catalogue import TopicSpec
from topics.plan import Difference, FoundTopic, Needs, plan, repartition_effect

# The broker answers a creation before every node has heard of it; a cluster of three takes well under a second.
_VISIBLE_S: Final = 15.0
_POLL_S: Final = 0.1

# Of a broker that has just answered. A node that the cluster names and that cannot be reached takes the client so long.
_START_WITHIN_S: Final = 20.0

# Where a value comes from (DescribeConfigs, KIP-226): 1 means set on the topic itself.
_SET_ON_TOPIC: Final = 1

_DENIED: Final = frozenset({TopicAuthorizationFailedError.errno, ClusterAuthorizationFailedError.errno})


class ProvisionError(HeadraceError):
    """The broker could not be asked, or refused. The message is one line that says what and why."""


class BrokerUnreachableError(ProvisionError):
    """No broker answered."""


class WrongClusterError(ProvisionError):
    """The addresses lead to another cluster than the settings want, or to several."""


async def unreachable(client_options: Mapping[str, object]) -> BrokerUnreachableError:
    """What to raise where a client could not start: why, by address, and what to change."""
    return _unreachable(client_options, await ask_all(client_options))


def _unreachable(client_options: Mapping[str, object], asked: Iterable[Asked]) -> BrokerUnreachableError:
    return BrokerUnreachableError(
        f"no Kafka broker can be used at {_servers(client_options)} (kafka.bootstrap_servers): {causes_of(asked)}"
    )


async def usable(client_options: Mapping[str, object]) -> dict[str, object]:
    """The options with those bootstrap addresses that answer: a client would try a silent one for minutes.

    Raises BrokerUnreachableError within 5 s where none does, WrongClusterError.
    """
    asked = await ask_all(client_options)
    answering = [each.address for each in asked if each.cause is None]
    if not answering:
        raise _unreachable(client_options, asked)
    wanted = client_options.get(CLUSTER_ID)
    if (fault := wrong_cluster(asked, wanted if isinstance(wanted, str) else None)) is not None:
        raise WrongClusterError(fault)
    return {**client_options, "bootstrap_servers": answering}


@asynccontextmanager
async def starting(client_options: Mapping[str, object]) -> AsyncIterator[None]:
    """Around the start of a client with usable options: what it raises, and a start that takes too long, become one line.

    Raises BrokerUnreachableError.
    """
    try:
        async with asyncio.timeout(_START_WITHIN_S):
            yield
    except (KafkaError, OSError, TimeoutError) as error:
        raise await unreachable(client_options) from error


@dataclass(frozen=True, slots=True)
class Report:
    """What was done, and what still differs."""

    done: tuple[str, ...]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]
    """What could not be compared, and why."""
    denied: tuple[str, ...] = ()
    """What this user may not see or change of it: a line each, which names the right."""


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic of the contract beside the broker's."""

    spec: TopicSpec
    found: FoundTopic | None
    differences: tuple[Difference, ...]
    denied: tuple[str, ...] = ()
    """As a report's."""


async def apply(
    client_options: Mapping[str, object],
    wanted: Iterable[TopicSpec],
    *,
    allow_repartition: bool = False,
    alter_configs: bool = False,
) -> Report:
    """Create missing topics; with the flags also add partitions and set settings that differ.

    Applying twice does nothing the second time. What this user may not do is told, and the rest is done. Raises ProvisionError.
    """
    wanted = tuple(wanted)
    refused = list[_Refused]()
    async with admin_of(client_options) as admin:
        differences = plan(wanted, await _describe(admin, wanted), await _allowed(admin, wanted))
        done = await _create(admin, [_spec(wanted, d) for d in differences if d.kind == "missing"], refused)
        if allow_repartition:
            done += await _grow(admin, [d for d in differences if d.kind == "partitions"], refused)
        if alter_configs:
            done += await _alter(admin, wanted, [d for d in differences if d.kind == "config"], refused)
        allowed = await _allowed(admin, wanted)
        never = {each.topic for each in refused if each.needs != "AlterConfigs"}  # these will not be seen to change
        seen = tuple(
            spec for spec in wanted if spec.name not in never and "Describe" in allowed.get(spec.name, ("Describe",))
        )
        found = await _described_when_visible(admin, seen, allow_repartition=allow_repartition)
        if never:
            found |= await _describe(admin, [spec for spec in wanted if spec.name in never])
        lines = (*map(str, refused), *_hidden(found))
        return Report(tuple(done), tuple(plan(wanted, found, allowed)), _notes(found), lines)


async def check(
    client_options: Mapping[str, object], wanted: Iterable[TopicSpec], needs: Needs = MappingProxyType({})
) -> Report:
    """Compare only, and whether what `needs` says is allowed. Raises ProvisionError."""
    wanted = tuple(wanted)
    async with admin_of(client_options) as admin:
        found = await _describe(admin, wanted)
        allowed = await _allowed(admin, wanted)
    return Report((), tuple(plan(wanted, found, allowed, needs)), _notes(found), tuple(_hidden(found)))


async def denied_topics(client_options: Mapping[str, object], needs: Needs) -> Sequence[str]:
    """What of `needs` this user may not do, a line each; nothing of topics that are not there. Raises ProvisionError."""
    async with admin_of(client_options) as admin:
        allowed = await allowed_operations(admin._client, needs)
    return [
        missing_acl(operation, topic)
        for topic, operations in needs.items()
        for operation in operations
        if operation not in allowed.get(topic, operations)
    ]


async def denied_groups(client_options: Mapping[str, object], groups: Iterable[str]) -> Sequence[str]:
    """Those of the consumer groups that this user may not describe. Raises ProvisionError."""
    denied = []
    async with admin_of(client_options) as admin:
        for group in groups:
            try:
                await admin._client.coordinator_lookup(CoordinationType.GROUP, group)
            except GroupAuthorizationFailedError:
                denied.append(group)
            except KafkaError:
                continue  # a new cluster has no coordinator yet
    return denied


async def listing(client_options: Mapping[str, object], wanted: Iterable[TopicSpec]) -> list[TopicState]:
    """Each topic of the contract with what the broker has. Raises ProvisionError."""
    wanted = tuple(wanted)
    async with admin_of(client_options) as admin:
        found = await _describe(admin, wanted)
        allowed = await _allowed(admin, wanted)
    return [
        TopicState(
            spec,
            topic := found.get(spec.name),
            tuple(plan([spec], found, allowed)),
            tuple(_hidden({} if topic is None else {spec.name: topic})),
        )
        for spec in wanted
    ]


@asynccontextmanager
async def admin_of(client_options: Mapping[str, object]) -> AsyncIterator[AIOKafkaAdminClient]:
    """A running admin client; what it meets is told in one line. Raises ProvisionError."""
    servers = _servers(client_options)
    admin = AIOKafkaAdminClient(**unsealed(await usable(client_options)))
    try:
        async with starting(client_options):
            await admin.start()
        try:
            yield admin
        except NodeNotReadyError as error:
            named = ", ".join(sorted(f"{b.host}:{b.port}" for b in admin._client.cluster.brokers()))
            raise BrokerUnreachableError(
                f"the Kafka broker at {servers} answers and names {named} as its address, which cannot be reached from here: "
                "are advertised.listeners right, and is the way there open?"
            ) from error
        except (KafkaError, OSError, TimeoutError) as error:
            reason = explain_error(error)
            raise ProvisionError(f"the Kafka broker at {servers} refused: {reason}") from error
    finally:
        await admin.close()


async def _describe(admin: AIOKafkaAdminClient, wanted: Iterable[TopicSpec]) -> dict[str, FoundTopic]:
    names = {spec.name for spec in wanted}
    described = {topic["topic"]: topic for topic in await admin.describe_topics() if topic["topic"] in names}
    configs, hidden = await _configs(admin, described)
    found = {}
    for name, topic in described.items():
        config, overrides = configs.get(name, (None, {}))
        replicas = min((len(partition["replicas"]) for partition in topic["partitions"]), default=0)
        found[name] = FoundTopic(name, len(topic["partitions"]), replicas, config, overrides, name in hidden)
    return found


async def _allowed(admin: AIOKafkaAdminClient, wanted: Iterable[TopicSpec]) -> Allowed:
    return await allowed_operations(admin._client, (spec.name for spec in wanted))


async def _configs(
    admin: AIOKafkaAdminClient, names: Iterable[str]
) -> tuple[dict[str, tuple[dict[str, str], dict[str, str]]], set[str]]:
    """Settings in force and settings made on the topic, by topic; topics the broker does not describe are left out. And the
    topics whose settings this user may not see.
    """
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    if not resources:
        return {}, set()
    try:
        responses = await admin.describe_configs(resources)
    except IncompatibleBrokerVersion:
        return {}, set()
    configs, hidden = {}, set[str]()
    for response in responses:
        for code, _, _, name, entries in response.resources:
            if code in _DENIED:
                hidden.add(name)
            if code == 0 and entries:
                values = {entry[0]: entry[1] for entry in entries if entry[1] is not None}
                overrides = {entry[0]: entry[1] for entry in entries if entry[3] == _SET_ON_TOPIC}
                configs[name] = (values, overrides)
    return configs, hidden


async def _described_when_visible(
    admin: AIOKafkaAdminClient, wanted: tuple[TopicSpec, ...], *, allow_repartition: bool
) -> dict[str, FoundTopic]:
    """Describe the topics once the broker shows what has just been created, or after 15 s as it shows them then."""
    deadline = asyncio.get_running_loop().time() + _VISIBLE_S
    while True:
        found = await _describe(admin, wanted)
        visible = all(
            spec.name in found and (not allow_repartition or found[spec.name].partitions >= spec.partitions)
            for spec in wanted
        )
        if visible or asyncio.get_running_loop().time() > deadline:
            return found
        await asyncio.sleep(_POLL_S)


@dataclass(frozen=True, slots=True)
class _Refused:
    """What was asked for and not done, because this user may not do it."""

    topic: str
    needs: Operation

    def __str__(self) -> str:
        return f"{self.topic}: {missing_acl(self.needs, self.topic)}"


async def _create(admin: AIOKafkaAdminClient, specs: list[TopicSpec], refused: list[_Refused]) -> list[str]:
    if not specs:
        return []
    response = await admin.create_topics(
        [NewTopic(s.name, s.partitions, s.replication_factor, topic_configs=dict(s.config)) for s in specs]
    )
    created = set()
    for name, code, *message in response.topic_errors:
        if code == 0:
            created.add(name)
        elif code in _DENIED:
            refused.append(_Refused(name, "Create"))
        elif code != TopicAlreadyExistsError.errno:
            raise ProvisionError(f"cannot create topic {name}: {_reason(code, message)}")
        # Else somebody created it meanwhile: the comparison that follows says whether it is as wanted.
    return [f"created {spec.name} with {spec.partitions} partition(s)" for spec in specs if spec.name in created]


async def _grow(admin: AIOKafkaAdminClient, differences: list[Difference], refused: list[_Refused]) -> list[str]:
    done = []
    for difference in differences:
        before, after = int(difference.found), int(difference.wanted)
        if after > before:
            try:
                await admin.create_partitions({difference.topic: NewPartitions(after)})
            except (TopicAuthorizationFailedError, ClusterAuthorizationFailedError):
                refused.append(_Refused(difference.topic, "Alter"))
                continue
            effect = repartition_effect(before, after)
            done.append(f"grew {difference.topic} from {before} to {after} partitions: {effect}")
    return done


async def _alter(
    admin: AIOKafkaAdminClient,
    wanted: tuple[TopicSpec, ...],
    differences: list[Difference],
    refused: list[_Refused],
) -> list[str]:
    if not differences:
        return []
    # AlterConfigs replaces all settings of a topic, so that what others have set must be sent again with ours.
    configs, _ = await _configs(admin, {difference.topic for difference in differences})
    changed = set[str]()
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, spec.name, {**configs[spec.name][1], **spec.config})
        for spec in wanted
        if spec.name in configs
    ]
    for response in await admin.alter_configs(resources):
        for code, message, _, name in response.resources:
            if code in _DENIED:
                refused.append(_Refused(name, "AlterConfigs"))
            elif code:
                raise ProvisionError(f"cannot change the settings of topic {name}: {_reason(code, [message])}")
            else:
                changed.add(name)
    return [f"set {d.key} = {d.wanted} on {d.topic} (was {d.found})" for d in differences if d.topic in changed]


def _servers(client_options: Mapping[str, object]) -> str:
    servers = client_options.get("bootstrap_servers", "localhost:9092")
    return ", ".join(servers) if isinstance(servers, list | tuple) else str(servers)


def _spec(wanted: tuple[TopicSpec, ...], difference: Difference) -> TopicSpec:
    return next(spec for spec in wanted if spec.name == difference.topic)


def _reason(code: int, message: list[str | None]) -> str:
    return (message[0] if message else None) or name_of(code)


def _notes(found: Mapping[str, FoundTopic]) -> tuple[str, ...]:
    untold = sorted(name for name, topic in found.items() if topic.config is None and not topic.hidden)
    if not untold:
        return ()
    return (f"the broker does not tell the settings of {', '.join(untold)}: partitions and replicas were compared",)


def _hidden(found: Mapping[str, FoundTopic]) -> list[str]:
    return [
        f"{name}: {missing_acl('DescribeConfigs', name)}; its settings were not compared"
        for name, topic in found.items()
        if topic.hidden
    ]
