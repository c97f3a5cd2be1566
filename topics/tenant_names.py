"""What a tenant's topics are called, and what may be a tenant's name. Pure.

Only the tenant may write to its request topics, and only it may read its answers and dead letters: ACLs say so
(`headrace tenants apply`). So the topic that a request came from proves whose it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from topics.names import Priority

TENANT_CHARS: Final = 40
"""The longest name: behind the longest prefix that is in use it fits the names of topics (249 characters)."""

RESERVED: Final = frozenset({"high", "normal", "low", "dlq", "front"})
"""Names of topics of the fleet's own would be those of a tenant who was called so."""

_NAME = re.compile(rf"[a-z0-9](?:[a-z0-9-]{{0,{TENANT_CHARS - 2}}}[a-z0-9])?").fullmatch


def tenant_fault(name: str) -> str | None:
    """Why this can be no tenant's name, or None.

    No "." and no "_": Kafka takes `a.b` and `a_b` for one name in its metrics and refuses the second, and a tenant "a.high" would
    have topics of a tenant "a".
    """
    if _NAME(name) is None:
        return f'1 to {TENANT_CHARS} small letters, digits and "-", a letter or digit at both ends'
    return f"{name!r} is a word in the names of the fleet's own topics" if name in RESERVED else None


@dataclass(frozen=True, slots=True)
class TenantTopics:
    """The topics of one tenant. Answers go to `responses`, or to a topic that begins with `reply_to_prefix`."""

    tenant: str
    topic_of: Mapping[Priority, str]
    responses: str
    dead_letters: str
    reply_to_prefix: str

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.topic_of.values(), self.responses, self.dead_letters)


@dataclass(frozen=True, slots=True)
class RequestTopic:
    """What the topic of a request says of it: its class, its tenant ("" of the common topics), where its answer goes unless it
    names another topic, and where it goes when it is given up.
    """

    priority: Priority
    tenant: str
    responses: str
    dead_letters: str
