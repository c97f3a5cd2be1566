"""What this user may do to topics, as a broker tells it (KIP-430).

Source: https://cwiki.apache.org/confluence/display/KAFKA/KIP-430+-+Return+Authorized+Operations+in+Describe+Responses
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from aiokafka.client import AIOKafkaClient

from streams.kafka.metadata_request import Metadata
from topics.access import Allowed, Operation

_BITS: Final[Mapping[Operation, int]] = {"Read": 3, "Write": 4, "Describe": 8}
"""Codes of operations: https://kafka.apache.org/41/javadoc/org/apache/kafka/common/acl/AclOperation.html"""
_TOPIC_AUTHORIZATION_FAILED: Final = 29
_NOT_TOLD: Final = -(2**31)
_VERSION: Final = 12


async def allowed_operations(client: AIOKafkaClient, topics: Iterable[str]) -> Allowed:
    """Ask for these topics by name; none is made. `client` has started. Raises KafkaError."""
    response = await client.send(client.get_random_node(), Metadata(sorted(topics), operations=True))
    allowed: dict[str, frozenset[Operation]] = {}
    for code, name, *rest in response.topics:
        if code == _TOPIC_AUTHORIZATION_FAILED:
            allowed[name] = frozenset()
        elif code == 0 and response.API_VERSION >= _VERSION and (bits := rest[3]) != _NOT_TOLD:
            allowed[name] = frozenset(operation for operation, bit in _BITS.items() if bits & 1 << bit)
    return allowed
