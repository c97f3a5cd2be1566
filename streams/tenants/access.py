"""What a tenant's principals have to be allowed on a broker, and their quotas. Pure.

Literal names where one topic is meant. Reply topics of a tenant's own are behind its response topic and a ".", so that a tenant
`a` is not given what a tenant `ab` has. https://kafka.apache.org/41/security/authorization-and-acls/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from streams.settings.tenants import Tenant
from topics.names import PRIORITIES
from topics.rights import ANY_HOST, Acl, Quota
from topics.tenant_names import TenantTopics, tenant_fault

_USER = "User:"


def tenant_acls(tenant: Tenant, topics: TenantTopics, group_prefix: str) -> Iterator[Acl]:
    """The least that a tenant's principals need, each: write requests, read answers and dead letters, in groups of its own."""
    for principal in tenant.principals:
        for topic in topics.topic_of.values():
            yield Acl(principal, "Write", "topic", topic)
        yield Acl(principal, "Read", "topic", topics.responses)
        yield Acl(principal, "Read", "topic", topics.reply_to_prefix, prefixed=True)
        yield Acl(principal, "Read", "topic", topics.dead_letters)
        yield Acl(principal, "Read", "group", f"{group_prefix}{topics.tenant}.", prefixed=True)


def tenant_quotas(tenant: Tenant) -> Iterator[Quota]:
    """The quotas of a tenant's principals that are users, each; Kafka has none for others."""
    for user in users_of([*tenant.principals]):
        if tenant.quotas.produce is not None:
            yield Quota(user, "producer_byte_rate", tenant.quotas.produce)
        if tenant.quotas.fetch is not None:
            yield Quota(user, "consumer_byte_rate", tenant.quotas.fetch)


def users_of(principals: list[str]) -> list[str]:
    """The names of those principals that are users."""
    return [each.removeprefix(_USER) for each in principals if each.startswith(_USER)]


def named_principals(tenants: Mapping[str, Tenant]) -> frozenset[str]:
    """Whose rights on tenants' resources are the settings' affair: those that have some, and those that had."""
    return frozenset(each for tenant in tenants.values() for each in (*tenant.principals, *tenant.former_principals))


def is_own(acl: Acl, principals: frozenset[str], prefix: str) -> bool:
    """Whether a right is one that settings may have made: a named principal's, on any host, in the form of `tenant_acls`,
    also for a tenant that the settings do not name any more. Everybody else's rights are others' affair, the fleet's own too.
    """
    if acl.principal not in principals or acl.host != ANY_HOST or not acl.allows or not acl.name.startswith(prefix):
        return False
    name = acl.name.removeprefix(prefix)
    if acl.kind == "group":
        return acl.operation == "Read" and acl.prefixed and name.endswith(".") and tenant_fault(name[:-1]) is None
    if acl.kind != "topic":
        return False
    if acl.operation == "Write":
        tenant, _, last = name.removeprefix("agent.requests.").rpartition(".")
        return (
            name.startswith("agent.requests.") and not acl.prefixed and last in PRIORITIES and not tenant_fault(tenant)
        )
    if acl.operation != "Read":
        return False
    if name.startswith("agent.responses."):
        tenant = name.removeprefix("agent.responses.")
        if acl.prefixed:
            return tenant.endswith(".") and tenant_fault(tenant[:-1]) is None
        return tenant_fault(tenant) is None
    tenant, _, last = name.removeprefix("agent.requests.").rpartition(".")
    return name.startswith("agent.requests.") and not acl.prefixed and last == "dlq" and tenant_fault(tenant) is None


def acl_command(acl: Acl) -> str:
    """The ACL as arguments of Kafka's own tool; adding one that is there changes nothing."""
    pattern = " --resource-pattern-type prefixed" if acl.prefixed else ""
    return (
        f"kafka-acls --add --allow-principal {_quoted(acl.principal)} --operation {acl.operation} "
        f"--{acl.kind} {_quoted(acl.name)}{pattern}"
    )


def quota_command(tenant: Tenant, principal: str) -> str | None:
    """The principal's quotas as arguments of Kafka's own tool; None where none is set, or it is no user."""
    name = principal.removeprefix(_USER)
    rates = [f"{quota.key}={quota.rate:.0f}" for quota in tenant_quotas(tenant) if quota.user == name]
    if not principal.startswith(_USER) or not rates:
        return None
    return f"kafka-configs --alter --entity-type users --entity-name {_quoted(name)} --add-config {_quoted(','.join(rates))}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\"'\"'") + "'"
