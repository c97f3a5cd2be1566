"""ACLs and client quotas of a broker: read, made and removed. aiokafka's admin client has no calls for them.

Requests 29 to 31 in the versions that aiokafka can write, in batches where its own classes carry one ACL; 48 and 49 (KIP-546) are
written here. https://kafka.apache.org/41/design/protocol/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.protocol.admin import (
    CreateAclsRequest_v1,
    DeleteAclsRequest_v1,
    DescribeAclsRequest,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Float64, Int8, Int16, Int32, Schema, String

from streams.errors import HeadraceError
from topics.broker_errors import name_of
from topics.rights import Acl, Kind, Quota

_ANY: Final = 1
_ALLOW: Final = 3
_KINDS: Final[Mapping[int, Kind]] = {2: "topic", 3: "group", 4: "cluster", 5: "transactional-id"}
_LITERAL, _PREFIXED = 3, 4
_OPERATIONS: Final = (
    "Unknown", "Any", "All", "Read", "Write", "Create", "Delete", "Alter", "Describe", "ClusterAction", "DescribeConfigs",
    "AlterConfigs", "IdempotentWrite", "CreateTokens", "DescribeTokens", "TwoPhaseCommit",
)  # fmt: skip
"""By code: https://kafka.apache.org/41/javadoc/org/apache/kafka/common/acl/AclOperation.html"""
_CLUSTER_AUTHORIZATION_FAILED: Final = 31
_SECURITY_DISABLED: Final = 54
_BATCH: Final = 200
"""ACLs in a request: each is a record of the cluster's log."""
_USER: Final = "user"
_ANY_NAME: Final = 2
_TEXT: Final = String("utf-8")

Entry = TypeVar("Entry")


class RightsError(HeadraceError):
    """The broker keeps no such rights, or this user may not see or change them; one line that says what is needed."""


class NoAuthorizerError(RightsError):
    """The broker does not check rights: there is nothing to set."""


class _CreateAcls(Request[CreateAclsRequest_v1]):  # type: ignore[misc]
    API_KEY = 30

    def __init__(self, entries: list[tuple[Any, ...]]) -> None:
        self._entries = entries

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class(self._entries)


class _DeleteAcls(Request[DeleteAclsRequest_v1]):  # type: ignore[misc]
    API_KEY = 31

    def __init__(self, entries: list[tuple[Any, ...]]) -> None:
        self._entries = entries

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class(self._entries)


class _DescribeQuotasResponse(Response):  # type: ignore[misc]
    API_KEY = 48
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("error_message", _TEXT),
        (
            "entries",
            Array(
                ("entity", Array(("type", _TEXT), ("name", _TEXT))),
                ("values", Array(("key", _TEXT), ("value", Float64))),
            ),
        ),
    )


class _DescribeQuotasRequest(RequestStruct):  # type: ignore[misc]
    API_KEY = 48
    API_VERSION = 0
    RESPONSE_TYPE = _DescribeQuotasResponse
    SCHEMA = Schema(
        ("components", Array(("type", _TEXT), ("match_type", Int8), ("match", _TEXT))),
        ("strict", Boolean),
    )


class _DescribeQuotas(Request[_DescribeQuotasRequest]):  # type: ignore[misc]
    """Quotas of every single user; those of a user and a client id are others."""

    API_KEY = 48

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class([(_USER, _ANY_NAME, None)], True)


class _AlterQuotasResponse(Response):  # type: ignore[misc]
    API_KEY = 49
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "entries",
            Array(
                ("error_code", Int16),
                ("error_message", _TEXT),
                ("entity", Array(("type", _TEXT), ("name", _TEXT))),
            ),
        ),
    )


class _AlterQuotasRequest(RequestStruct):  # type: ignore[misc]
    API_KEY = 49
    API_VERSION = 0
    RESPONSE_TYPE = _AlterQuotasResponse
    SCHEMA = Schema(
        (
            "entries",
            Array(
                ("entity", Array(("type", _TEXT), ("name", _TEXT))),
                ("ops", Array(("key", _TEXT), ("value", Float64), ("remove", Boolean))),
            ),
        ),
        ("validate_only", Boolean),
    )


class _AlterQuotas(Request[_AlterQuotasRequest]):  # type: ignore[misc]
    API_KEY = 49

    def __init__(self, entries: list[tuple[Any, ...]]) -> None:
        self._entries = entries

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class(self._entries, False)


@dataclass(frozen=True, slots=True)
class Rights:
    """ACLs and quotas of the broker that `admin` is of. Every call raises KafkaError, and RightsError with one line."""

    admin: AIOKafkaAdminClient

    async def acls(self) -> list[Acl]:
        """All ACLs that there are. Raises NoAuthorizerError."""
        request = DescribeAclsRequest(_ANY, None, _ANY, None, None, _ANY, _ANY)
        response = await self._send(request, "see ACLs")
        _check(response.error_code, response.error_message, "see ACLs", "Describe")
        found = []
        for kind, name, pattern, acls in response.resources:
            for principal, host, operation, permission in acls:
                found.append(_acl(kind, name, pattern, principal, host, operation, permission))
        return found

    async def create_acls(self, acls: Sequence[Acl]) -> None:
        """Make these; one that is there stays as it is."""
        for some in _batches(acls):
            response = await self._send(_CreateAcls([_entry(acl) for acl in some]), "set ACLs")
            for code, message in response.creation_responses:
                _check(code, message, "set ACLs", "Alter")

    async def delete_acls(self, acls: Sequence[Acl]) -> None:
        """Remove exactly these; one that is not there is fine."""
        for some in _batches(acls):
            response = await self._send(_DeleteAcls([_entry(acl) for acl in some]), "remove ACLs")
            for code, message, matching in response.filter_responses:
                _check(code, message, "remove ACLs", "Alter")
                for each_code, each_message, *_ in matching:
                    _check(each_code, each_message, "remove ACLs", "Alter")

    async def quotas(self) -> dict[tuple[str, str], float]:
        """Rates of users that have some, by user and key."""
        response = await self._send(_DescribeQuotas(), "see quotas")
        _check(response.error_code, response.error_message, "see quotas", "DescribeConfigs")
        return {
            (name, key): value
            for entity, values in response.entries or ()
            for kind, name in entity
            if kind == _USER and name is not None and len(entity) == 1
            for key, value in values
        }

    async def alter_quotas(self, wanted: Sequence[Quota], removed: Sequence[Quota] = ()) -> None:
        """Set and remove these rates; a user's others stay as they are."""
        operations: dict[str, list[tuple[str, float, bool]]] = {}
        for quota in wanted:
            operations.setdefault(quota.user, []).append((quota.key, quota.rate, False))
        for quota in removed:
            operations.setdefault(quota.user, []).append((quota.key, 0.0, True))
        entries = [([(_USER, user)], ops) for user, ops in operations.items()]
        for some in _batches(entries):
            response = await self._send(_AlterQuotas(list(some)), "set quotas")
            for code, message, _ in response.entries:
                _check(code, message, "set quotas", "AlterConfigs")

    async def _send(self, request: Any, what: str) -> Any:
        client = self.admin._client
        try:
            return await client.send(client.get_random_node(), request)
        except (IncompatibleBrokerVersion, NotImplementedError) as error:
            raise NoAuthorizerError(f"this broker cannot {what}: it has no such request") from error


def _batches(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    return (entries[start : start + _BATCH] for start in range(0, len(entries), _BATCH))


def _check(code: int, message: str | None, what: str, needs: str) -> None:
    if code == 0:
        return
    if code == _SECURITY_DISABLED:
        raise NoAuthorizerError(
            "this broker has no authorizer (authorizer.class.name), so that everybody may write and read everybody's topics"
        )
    if code == _CLUSTER_AUTHORIZATION_FAILED:
        raise RightsError(f"this user may not {what}: it needs {needs} on the cluster")
    raise RightsError(f"the broker did not {what}: {message or name_of(code)}")


def _acl(kind: int, name: str, pattern: int, principal: str, host: str, operation: int, permission: int) -> Acl:
    named = _OPERATIONS[operation] if operation < len(_OPERATIONS) else str(operation)
    return Acl(
        principal,
        named,
        _KINDS.get(kind, "other"),
        name,
        prefixed=pattern == _PREFIXED,
        host=host,
        allows=permission == _ALLOW,
    )


def _entry(acl: Acl) -> tuple[Any, ...]:
    """An ACL as a creation has it, and as the filter that nothing else fits."""
    kinds = {kind: code for code, kind in _KINDS.items()}
    pattern = _PREFIXED if acl.prefixed else _LITERAL
    return kinds[acl.kind], acl.name, pattern, acl.principal, acl.host, _OPERATIONS.index(acl.operation), _ALLOW
