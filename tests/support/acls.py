"""ACLs of groups and topics on a broker whose authorizer lets everybody do what no ACL is about.

aiokafka's admin client knows no ACLs: the two requests are written here (https://kafka.apache.org/protocol, v1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Int8, Int16, Int32, Schema, String

from ops.acls import Acl

ACLS: Final = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
    "super.users": "User:nobody",
}
"""Settings of such a broker."""

DENIES: Final = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "false",
    "super.users": "User:ANONYMOUS",
}
"""Of one that lets nobody do anything that no ACL allows, but for those of its listener without authentication."""

_TOPIC, _GROUP, _LITERAL, _READ, _DENY, _ALLOW, _ANY = 2, 3, 3, 3, 2, 3, 1
_OPERATIONS = {
    "Read": 3, "Write": 4, "Create": 5, "Alter": 7, "Describe": 8, "DescribeConfigs": 10, "AlterConfigs": 11,
}  # fmt: skip
_RESOURCES = {"topic": 2, "group": 3, "cluster": 4, "transactional-id": 5}
_PATTERNS = {"literal": 3, "prefixed": 4}
_TEXT: Final = String("utf-8")


class _CreateResponse(Response):  # type: ignore[misc]
    API_KEY = 30
    API_VERSION = 1
    SCHEMA = Schema(("throttle_time_ms", Int32), ("results", Array(("error_code", Int16), ("error_message", _TEXT))))


class _CreateRequest(RequestStruct):  # type: ignore[misc]
    API_KEY = 30
    API_VERSION = 1
    RESPONSE_TYPE = _CreateResponse
    SCHEMA = Schema(
        (
            "creations",
            Array(
                ("resource_type", Int8), ("resource", _TEXT), ("pattern", Int8), ("principal", _TEXT), ("host", _TEXT),
                ("operation", Int8), ("permission", Int8),
            ),
        ),
    )  # fmt: skip


class _DeleteResponse(Response):  # type: ignore[misc]
    API_KEY = 31
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            Array(
                ("error_code", Int16), ("error_message", _TEXT),
                (
                    "matching",
                    Array(
                        ("error_code", Int16), ("error_message", _TEXT), ("resource_type", Int8), ("resource", _TEXT),
                        ("pattern", Int8), ("principal", _TEXT), ("host", _TEXT), ("operation", Int8), ("permission", Int8),
                    ),
                ),
            ),
        ),
    )  # fmt: skip


class _DeleteRequest(RequestStruct):  # type: ignore[misc]
    API_KEY = 31
    API_VERSION = 1
    RESPONSE_TYPE = _DeleteResponse
    SCHEMA = Schema(
        (
            "filters",
            Array(
                ("resource_type", Int8), ("resource", _TEXT), ("pattern", Int8), ("principal", _TEXT), ("host", _TEXT),
                ("operation", Int8), ("permission", Int8),
            ),
        ),
    )  # fmt: skip


class _Create(Request[_CreateRequest]):  # type: ignore[misc]
    API_KEY = 30

    def __init__(self, entry: tuple[Any, ...]) -> None:
        self._entry = entry

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class([self._entry])


class _Delete(Request[_DeleteRequest]):  # type: ignore[misc]
    API_KEY = 31

    def __init__(self, entry: tuple[Any, ...]) -> None:
        self._entry = entry

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class([self._entry])


def _place(acl: Acl) -> tuple[int, str, int]:
    return _RESOURCES[acl.resource], acl.name, _PATTERNS[acl.pattern]


class Acls:
    """Denies groups and operations on topics, and allows them again, inside `async with`; all is allowed again at its end."""

    def __init__(self, client_options: Mapping[str, Any]) -> None:
        self._admin = AIOKafkaAdminClient(**client_options)
        self._denied: set[str] = set()
        self._limited: set[str] = set()

    async def __aenter__(self) -> Self:
        await self._admin.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for group in list(self._denied):
            await self.allow_group(group)
        for topic in self._limited:
            await self._send(_Delete((_TOPIC, topic, _LITERAL, None, None, _ANY, _ANY)))
        await self._admin.close()

    async def allow_only(self, topic: str, *operations: str) -> None:
        """Everybody may do this to the topic, and nothing else; without operations only another user may do anything."""
        who = "User:*" if operations else "User:another"
        for operation in operations or ("Read",):
            code = _OPERATIONS[operation]
            response = await self._send(_Create((_TOPIC, topic, _LITERAL, who, "*", code, _ALLOW)))
            assert response.results[0][0] == 0, response
        self._limited.add(topic)

    async def grant(self, principal: str, acls: Iterable[Acl]) -> None:
        """On a broker that denies by default: the principal may do this."""
        for acl in acls:
            response = await self._send(_Create((*_place(acl), principal, "*", _OPERATIONS[acl.operation], _ALLOW)))
            assert response.results[0][0] == 0, response

    async def take(self, principal: str, acls: Iterable[Acl]) -> None:
        """What was granted is granted no more."""
        for acl in acls:
            response = await self._send(_Delete((*_place(acl), principal, None, _OPERATIONS[acl.operation], _ALLOW)))
            ((code, message, matching),) = response.results
            assert code == 0, message
            assert matching, acl

    async def deny_group(self, group: str) -> None:
        response = await self._send(_Create((_GROUP, group, _LITERAL, "User:*", "*", _READ, _DENY)))
        ((code, message),) = response.results
        assert code == 0, message
        self._denied.add(group)

    async def allow_group(self, group: str) -> None:
        response = await self._send(_Delete((_GROUP, group, _LITERAL, None, None, _READ, _DENY)))
        ((code, message, matching),) = response.results
        assert code == 0, message
        assert matching
        self._denied.discard(group)

    async def _send(self, request: Any) -> Any:
        client = self._admin._client
        return await client.send(client.get_random_node(), request)
