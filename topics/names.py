"""Names of the topics, the priorities behind three of them, and which names a caller may ask an answer on."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, Self

from schemas.limits import TOPIC_NAME_CHARS

Priority = Literal["high", "normal", "low"]
PRIORITIES: Final[tuple[Priority, ...]] = ("high", "normal", "low")
"""Most urgent first; the order of `TopicNames.requests`."""


@dataclass(frozen=True, slots=True)
class TopicNames:
    """The names of one fleet's topics: the contract's, each behind the fleet's prefix (`topics.prefix`)."""

    prefix: str
    requests: tuple[str, ...]
    responses: str
    front_responses: str
    front_keys: str
    front_claims: str
    deltas: str
    dead_letters: str
    cancels: str
    cache_entries: str
    leases: str
    metric_samples: str
    metric_windows: str
    scaling_decisions: str
    scaling_events: str
    reply_to_prefix: str
    """Reply topics of callers' own begin so."""
    topic_of: Mapping[Priority, str]
    priority_of: Mapping[str, Priority]

    @classmethod
    def behind(cls, prefix: str) -> Self:
        """All names behind this prefix; it is not checked (`prefix_fault` does)."""
        requests = tuple(f"{prefix}agent.requests.{priority}" for priority in PRIORITIES)
        return cls(
            prefix=prefix,
            requests=requests,
            responses=f"{prefix}agent.responses",
            front_responses=f"{prefix}agent.responses.front",
            front_keys=f"{prefix}agent.keys",
            front_claims=f"{prefix}agent.claims",
            deltas=f"{prefix}agent.deltas",
            dead_letters=f"{prefix}agent.requests.dlq",
            cancels=f"{prefix}agent.cancels",
            cache_entries=f"{prefix}cache.entries",
            leases=f"{prefix}limits.leases",
            metric_samples=f"{prefix}metrics.samples",
            metric_windows=f"{prefix}metrics.windows",
            scaling_decisions=f"{prefix}scaling.decisions",
            scaling_events=f"{prefix}scaling.events",
            reply_to_prefix=f"{prefix}agent.responses.",
            topic_of=MappingProxyType(dict(zip(PRIORITIES, requests, strict=True))),
            priority_of=MappingProxyType(dict(zip(requests, PRIORITIES, strict=True))),
        )

    @property
    def all(self) -> tuple[str, ...]:
        """Every topic of the contract."""
        metrics_and_scaling = (self.metric_samples, self.metric_windows, self.scaling_decisions, self.scaling_events)
        return (
            *self.requests,
            self.responses,
            self.front_responses,
            self.front_keys,
            self.front_claims,
            self.deltas,
            self.dead_letters,
            self.cancels,
            self.cache_entries,
            self.leases,
            *metrics_and_scaling,
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
CACHE_ENTRIES: Final = V1.cache_entries
LEASES: Final = V1.leases
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
