"""Names of the topics, the priorities behind three of them, and which names a caller may ask an answer on."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal, Self

from schemas.limits import TOPIC_NAME_CHARS
from topics.tenant_names import RequestTopic, TenantTopics

Priority = Literal["high", "normal", "low"]
PRIORITIES: Final[tuple[Priority, ...]] = ("high", "normal", "low")
"""Most urgent first; the order of `TopicNames.requests`."""


@dataclass(frozen=True, slots=True)
class TopicNames:
    """The names of one fleet's topics: the contract's, each behind the fleet's prefix (`topics.prefix`)."""

    prefix: str
    requests: tuple[str, ...]
    """The common ones by class, then those of each tenant by class."""
    common: tuple[str, ...]
    """The request topics of no tenant, most urgent first."""
    responses: str
    front_responses: str
    front_keys: str
    front_claims: str
    deltas: str
    dead_letters: str
    cancels: str
    admin: str
    cache_entries: str
    leases: str
    budget_ledger: str
    budget_state: str
    cost_windows: str
    metric_samples: str
    metric_windows: str
    scaling_decisions: str
    scaling_events: str
    reply_to_prefix: str
    """Reply topics of callers' own begin so."""
    topic_of: Mapping[Priority, str]
    """The common request topics."""
    priority_of: Mapping[str, Priority]
    """Of all request topics."""
    tenants: Mapping[str, TenantTopics]
    request_topics: Mapping[str, RequestTopic]
    """What each request topic says of its requests, by its name."""

    @classmethod
    def behind(cls, prefix: str, tenants: Iterable[str] = ()) -> Self:
        """All names behind this prefix; neither it nor the tenants' names are checked (`prefix_fault`, `tenant_fault` do)."""
        common = tuple(f"{prefix}agent.requests.{priority}" for priority in PRIORITIES)
        of_tenants = {tenant: _of_tenant(prefix, tenant) for tenant in tenants}
        dead_letters, responses = f"{prefix}agent.requests.dlq", f"{prefix}agent.responses"
        request_topics = {
            topic: RequestTopic(priority, "", responses, dead_letters)
            for topic, priority in zip(common, PRIORITIES, strict=True)
        }
        for tenant, named in of_tenants.items():
            for priority, topic in named.topic_of.items():
                request_topics[topic] = RequestTopic(priority, tenant, named.responses, named.dead_letters)
        return cls(
            prefix=prefix,
            requests=tuple(request_topics),
            common=common,
            responses=responses,
            front_responses=f"{prefix}agent.responses.front",
            front_keys=f"{prefix}agent.keys",
            front_claims=f"{prefix}agent.claims",
            deltas=f"{prefix}agent.deltas",
            dead_letters=dead_letters,
            cancels=f"{prefix}agent.cancels",
            admin=f"{prefix}agent.admin",
            cache_entries=f"{prefix}cache.entries",
            leases=f"{prefix}limits.leases",
            budget_ledger=f"{prefix}budgets.ledger",
            budget_state=f"{prefix}budgets.state",
            cost_windows=f"{prefix}costs.windows",
            metric_samples=f"{prefix}metrics.samples",
            metric_windows=f"{prefix}metrics.windows",
            scaling_decisions=f"{prefix}scaling.decisions",
            scaling_events=f"{prefix}scaling.events",
            reply_to_prefix=f"{prefix}agent.responses.",
            topic_of=MappingProxyType(dict(zip(PRIORITIES, common, strict=True))),
            priority_of=MappingProxyType({topic: said.priority for topic, said in request_topics.items()}),
            tenants=MappingProxyType(of_tenants),
            request_topics=MappingProxyType(request_topics),
        )

    def as_tenant(self, tenant: str) -> Self:
        """The same names as one tenant uses them: its request topics, its answers and its dead letters; "": as they are.

        Raises KeyError for a tenant that there is not.
        """
        if not tenant:
            return self
        own = self.tenants[tenant]
        requests = tuple(own.topic_of.values())
        return replace(
            self,
            requests=requests,
            common=requests,
            topic_of=own.topic_of,
            responses=own.responses,
            dead_letters=own.dead_letters,
        )

    def requests_of(self, tenant: str) -> Mapping[Priority, str]:
        """The request topics of a tenant, "": the common ones. KeyError for a tenant that there is not."""
        return self.topic_of if not tenant else self.tenants[tenant].topic_of

    def responses_of(self, tenant: str) -> str:
        """Where answers to a tenant go unless it names another topic; "": to requests of no tenant."""
        return self.responses if not tenant else self.tenants[tenant].responses

    def dead_letters_of(self, tenant: str) -> str:
        """Where requests of a tenant go that were given up; "": those of no tenant. KeyError for a tenant that there is not."""
        return self.dead_letters if not tenant else self.tenants[tenant].dead_letters

    def may_answer_on(self, topic: str, tenant: str) -> bool:
        """Whether an answer to this tenant ("": to none) may go there, if there is such a topic and answers may go there at all.

        A tenant's go to its own topics, and to the fronts', which only fronts read. Nobody else's go to a tenant's topics.
        """
        owner = self.owner_of_reply_topic(topic)
        return owner == tenant or (topic == self.front_responses and bool(tenant))

    def owner_of_reply_topic(self, topic: str) -> str:
        """The tenant whose answers go to this topic; "" where it is nobody's own."""
        rest = topic.removeprefix(self.reply_to_prefix)
        first = rest.partition(".")[0]
        return first if rest != topic and first in self.tenants else ""

    @property
    def all_responses(self) -> tuple[str, ...]:
        """Where answers go to that name no topic of their own: the common topic, then the tenants'."""
        return (self.responses, *(named.responses for named in self.tenants.values()))

    @property
    def all_dead_letters(self) -> tuple[str, ...]:
        """The common topic of dead letters, then the tenants'."""
        return (self.dead_letters, *(named.dead_letters for named in self.tenants.values()))

    @property
    def all(self) -> tuple[str, ...]:
        """Every topic of the contract."""
        metrics_and_scaling = (self.metric_samples, self.metric_windows, self.scaling_decisions, self.scaling_events)
        return (
            *self.requests,
            *self.all_responses,
            self.front_responses,
            self.front_keys,
            self.front_claims,
            self.deltas,
            *self.all_dead_letters,
            self.cancels,
            self.admin,
            self.cache_entries,
            self.leases,
            self.budget_ledger,
            self.budget_state,
            self.cost_windows,
            *metrics_and_scaling,
        )


def _of_tenant(prefix: str, tenant: str) -> TenantTopics:
    requests = f"{prefix}agent.requests.{tenant}"
    return TenantTopics(
        tenant=tenant,
        topic_of=MappingProxyType({priority: f"{requests}.{priority}" for priority in PRIORITIES}),
        responses=f"{prefix}agent.responses.{tenant}",
        dead_letters=f"{requests}.dlq",
        reply_to_prefix=f"{prefix}agent.responses.{tenant}.",
    )


V1: Final = TopicNames.behind("")
"""The names of a fleet without a prefix. What serves a fleet takes the names of its settings: `settings.topics.names`."""

REQUEST_TOPICS: Final = V1.requests
REQUESTS_HIGH, REQUESTS_NORMAL, REQUESTS_LOW = REQUEST_TOPICS
RESPONSES: Final = V1.responses
FRONT_RESPONSES: Final = V1.front_responses
FRONT_KEYS: Final = V1.front_keys
FRONT_CLAIMS: Final = V1.front_claims
DELTAS: Final = V1.deltas
DEAD_LETTERS: Final = V1.dead_letters
CANCELS: Final = V1.cancels
ADMIN: Final = V1.admin
CACHE_ENTRIES: Final = V1.cache_entries
LEASES: Final = V1.leases
BUDGET_LEDGER: Final = V1.budget_ledger
BUDGET_STATE: Final = V1.budget_state
COST_WINDOWS: Final = V1.cost_windows
METRIC_SAMPLES: Final = V1.metric_samples
METRIC_WINDOWS: Final = V1.metric_windows
SCALING_DECISIONS: Final = V1.scaling_decisions
SCALING_EVENTS: Final = V1.scaling_events
REPLY_TO_PREFIX: Final = V1.reply_to_prefix
TOPIC_OF: Final = V1.topic_of
PRIORITY_OF: Final = V1.priority_of

_LEGAL = re.compile(rf"[a-zA-Z0-9._-]{{1,{TOPIC_NAME_CHARS}}}").fullmatch


def legal_topic_name(name: str) -> bool:
    """Whether Kafka would take the name for a topic."""
    return _LEGAL(name) is not None and name not in {".", ".."}


def prefix_fault(prefix: str) -> str | None:
    """Why a fleet's topics cannot have this prefix, or None.

    Two fleets whose prefixes are both possible never share a name: a prefix in which `agent.responses.` occurs would put one
    fleet's topics among those that another one's callers may ask an answer on.
    """
    if not all(character.isascii() and (character.isalnum() or character in "._-") for character in prefix):
        return 'letters, digits, ".", "_" and "-" only, as Kafka takes in the names of topics'
    longest = max(map(len, V1.all))
    if len(prefix) + longest > TOPIC_NAME_CHARS:
        return (
            f"at most {TOPIC_NAME_CHARS - longest} characters, as Kafka takes {TOPIC_NAME_CHARS} in the name of a topic"
        )
    if V1.reply_to_prefix in prefix:
        return f'no "{V1.reply_to_prefix}" in it: other fleets would take these topics for reply topics of theirs'
    return None


def valid_reply_to(
    name: str, known: Collection[str], prefix: str = REPLY_TO_PREFIX, responses: str = RESPONSES
) -> bool:
    """Whether an answer may go to `name`: the response topic, or a name behind the prefix, and a topic that exists.

    `known` are the cluster's topics. They are looked up and never tried: producing to an unknown topic may create it.

    >>> valid_reply_to("agent.responses.chat", {"agent.responses.chat"})
    True
    >>> valid_reply_to("agent.responses.nowhere", {"agent.responses.chat"})
    False
    >>> valid_reply_to("agent.requests.high", {"agent.requests.high"})
    False
    """
    if name != responses and not (name.startswith(prefix) and len(name) > len(prefix)):
        return False
    return legal_topic_name(name) and name in known
