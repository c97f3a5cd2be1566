"""What this user may do to topics, as the broker tells it (KIP-430), and which ACLs are missing.

A topic that may not be described looks as if it were not there, so that nobody would look for an ACL.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from topics.metadata_request import Metadata

Operation = Literal["Read", "Write", "Describe"]
Allowed = Mapping[str, frozenset[Operation]]
"""By topic. A topic is not in it where the broker does not tell, or does not have it."""

DESCRIBE: Final[tuple[Operation, ...]] = ("Describe",)
READ: Final[tuple[Operation, ...]] = ("Read",)
WRITE: Final[tuple[Operation, ...]] = ("Write",)
READ_WRITE: Final[tuple[Operation, ...]] = ("Read", "Write")

_BITS: Final[Mapping[Operation, int]] = {"Read": 3, "Write": 4, "Describe": 8}
"""Codes of operations: https://kafka.apache.org/41/javadoc/org/apache/kafka/common/acl/AclOperation.html"""
_TOPIC_AUTHORIZATION_FAILED: Final = 29
_NOT_TOLD: Final = -(2**31)
_VERSION: Final = 12


async def allowed_operations(client: Any, topics: Iterable[str]) -> Allowed:
    """Ask for these topics by name; none is made. `client`: one of aiokafka that has started. Raises KafkaError."""
    response = await client.send(client.get_random_node(), Metadata(sorted(topics), operations=True))
    allowed: dict[str, frozenset[Operation]] = {}
    for code, name, *rest in response.topics:
        if code == _TOPIC_AUTHORIZATION_FAILED:
            allowed[name] = frozenset()
        elif code == 0 and response.API_VERSION >= _VERSION and (bits := rest[3]) != _NOT_TOLD:
            allowed[name] = frozenset(operation for operation, bit in _BITS.items() if bits & 1 << bit)
    return allowed


def missing_acl(operation: Operation, topic: str) -> str:
    """The ACL in words.

    >>> missing_acl("Write", "agent.responses")
    'an ACL is missing, this user needs Write on topic agent.responses'
    """
    return f"an ACL is missing, this user needs {operation} on topic {topic}"
