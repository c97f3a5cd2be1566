"""Names of the topics, the priorities behind three of them, and which names a caller may ask an answer on."""

import re
from collections.abc import Collection
from typing import Final, Literal

from schemas.limits import TOPIC_NAME_CHARS

REQUESTS_HIGH: Final = "agent.requests.high"
REQUESTS_NORMAL: Final = "agent.requests.normal"
REQUESTS_LOW: Final = "agent.requests.low"
REQUEST_TOPICS: Final = (REQUESTS_HIGH, REQUESTS_NORMAL, REQUESTS_LOW)
RESPONSES: Final = "agent.responses"
FRONT_RESPONSES: Final = "agent.responses.front"
DEAD_LETTERS: Final = "agent.requests.dlq"
CACHE_ENTRIES: Final = "cache.entries"
LEASES: Final = "limits.leases"
METRIC_SAMPLES: Final = "metrics.samples"
METRIC_WINDOWS: Final = "metrics.windows"
SCALING_DECISIONS: Final = "scaling.decisions"
SCALING_EVENTS: Final = "scaling.events"

REPLY_TO_PREFIX: Final = "agent.responses."

Priority = Literal["high", "normal", "low"]
PRIORITIES: Final[tuple[Priority, ...]] = ("high", "normal", "low")
"""Most urgent first; the order of REQUEST_TOPICS."""

TOPIC_OF: Final[dict[Priority, str]] = dict(zip(PRIORITIES, REQUEST_TOPICS, strict=True))
PRIORITY_OF: Final[dict[str, Priority]] = {topic: priority for priority, topic in TOPIC_OF.items()}

_LEGAL = re.compile(rf"[a-zA-Z0-9._-]{{1,{TOPIC_NAME_CHARS}}}").fullmatch


def legal_topic_name(name: str) -> bool:
    """Whether Kafka would take the name for a topic."""
    return _LEGAL(name) is not None and name not in {".", ".."}


def valid_reply_to(name: str, known: Collection[str], prefix: str = REPLY_TO_PREFIX) -> bool:
    """Whether an answer may go to `name`: `agent.responses`, or a name behind the prefix, and a topic that exists.

    `known` are the cluster's topics. They are looked up and never tried: producing to an unknown topic may create it.

    >>> valid_reply_to("agent.responses.chat", {"agent.responses.chat"})
    True
    >>> valid_reply_to("agent.responses.nowhere", {"agent.responses.chat"})
    False
    >>> valid_reply_to("agent.requests.high", {"agent.requests.high"})
    False
    """
    if name != RESPONSES and not (name.startswith(prefix) and len(name) > len(prefix)):
        return False
    return legal_topic_name(name) and name in known
