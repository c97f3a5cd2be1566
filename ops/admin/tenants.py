"""What tenants need on a broker: their topics, the rights of their principals and their quotas. Compared, then made."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from streams.kafka import provision
from streams.kafka.rights import NoAuthorizerError, Rights, RightsError
from streams.settings import Settings
from streams.tenants.access import (
    acl_command,
    is_own,
    named_principals,
    quota_command,
    tenant_acls,
    tenant_quotas,
    users_of,
)
from topics.catalogue import TopicSpec
from topics.plan import Difference
from topics.rights import Acl, Quota, QuotaPlan, RightsPlan, plan_quotas, plan_rights

_VISIBLE_S: Final = 30.0
"""Brokers learn of rights from the cluster's log: a moment after they were made."""
_POLL_S: Final = 0.1

HOW: Final = "`headrace acls --role tenants` prints what it takes"
_NO_RIGHTS: Final = RightsPlan((), (), ())
_NO_QUOTAS: Final = QuotaPlan((), ())


@dataclass(frozen=True, slots=True)
class TenantsPlan:
    """What differs between the settings and the broker. `faults`: what could not be compared or made, a line each;
    `notes`: what the broker does not tell anybody.
    """

    topics: tuple[Difference, ...]
    rights: RightsPlan
    quotas: QuotaPlan
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def lines(self, *, prune: bool) -> Iterator[str]:
        """What would be done, a line each; what would be left and why."""
        for each in self.topics:
            yield f"{each}: {HOW}" if each.kind == "denied" else str(each)
        for acl in self.rights.missing:
            yield f"+ {acl}"
        for quota, before in self.quotas.wanted:
            yield f"+ {quota}" + (f" (is {before:.0f})" if before is not None else "")
        for left in (*self.rights.surplus, *self.quotas.surplus):
            yield f"- {left}" if prune else f"not wanted any more: {left} (--prune takes it away)"
        for acl in self.rights.against:
            yield f"left as it is, and it undoes what is wanted: {acl}"
        yield from self.faults
        yield from self.notes

    def differs(self, *, prune: bool) -> bool:
        """Whether there is anything to do, or anything that could not be seen."""
        adds = self.topics or self.rights.missing or self.quotas.wanted or self.faults
        return bool(adds or (prune and (self.rights.surplus or self.quotas.surplus)))


def topics_of_tenants(settings: Settings) -> tuple[TopicSpec, ...]:
    """The topics that are tenants' alone."""
    of_tenants = {topic for each in settings.topics.names.tenants.values() for topic in each.all}
    return tuple(spec for spec in settings.catalogue() if spec.name in of_tenants)


def wanted_acls(settings: Settings) -> list[Acl]:
    """The rights of all tenants' principals."""
    names = settings.topics.names
    return [
        acl
        for name, tenant in settings.tenants.items()
        for acl in tenant_acls(tenant, names.tenants[name], names.prefix)
    ]


def wanted_quotas(settings: Settings) -> list[Quota]:
    """The quotas of all tenants' principals; of a principal of two tenants the last one's."""
    quotas = [quota for tenant in settings.tenants.values() for quota in tenant_quotas(tenant)]
    return list({(quota.user, quota.key): quota for quota in quotas}.values())


def commands(settings: Settings) -> list[str]:
    """The same as arguments of Kafka's own tools, for who may not let a command do it."""
    found = list(map(acl_command, wanted_acls(settings)))
    for tenant in settings.tenants.values():
        found += [each for who in tenant.principals if (each := quota_command(tenant, who)) is not None]
    return found


async def compare(settings: Settings) -> TenantsPlan:
    """What differs. Raises ProvisionError."""
    report = await provision.check(settings.kafka.client_options(), topics_of_tenants(settings))
    async with _rights(settings) as rights:
        acls, quotas, faults = await _compared(settings, rights)
    return TenantsPlan(report.differences, acls, quotas, (*_with_how(report.denied), *faults), report.notes)


async def apply(settings: Settings, *, prune: bool) -> tuple[list[str], TenantsPlan]:
    """Make what is missing; with `prune` take away what is the settings' own and not wanted any more.

    What is taken away goes last, so that nobody who moves from one tenant to another is without rights in between. What this user
    may not do is a fault of the plan, and the rest is done. Returns what was done and what differs still. Raises ProvisionError.
    """
    options = settings.kafka.client_options()
    report = await provision.apply(options, topics_of_tenants(settings), alter_configs=True)
    done, refused = list(report.done), list[str]()

    async def tried(work: Awaitable[None], words: Iterable[str]) -> None:
        try:
            await work
        except RightsError as error:
            if (line := f"{error}; {HOW}") not in refused:
                refused.append(line)
        else:
            done.extend(words)

    async with _rights(settings) as rights:
        acls, quotas, _ = await _compared(settings, rights)
        await tried(rights.create_acls(acls.missing), [f"allowed {acl}" for acl in acls.missing])
        if quotas.wanted:
            rates = [quota for quota, _ in quotas.wanted]
            await tried(rights.alter_quotas(rates), [f"set {quota}" for quota in rates])
        if prune and acls.surplus:
            await tried(rights.delete_acls(acls.surplus), [f"took away {acl}" for acl in acls.surplus])
        if prune and quotas.surplus:
            await tried(rights.alter_quotas((), quotas.surplus), [f"took away {quota}" for quota in quotas.surplus])
        give_up_at = time.monotonic() + _VISIBLE_S
        while True:
            acls, quotas, faults = await _compared(settings, rights)
            shown = not TenantsPlan((), acls, quotas).differs(prune=prune)
            if shown or refused or time.monotonic() > give_up_at:
                faults = (*_with_how(report.denied), *refused, *faults)
                return done, TenantsPlan(report.differences, acls, quotas, faults, report.notes)
            await asyncio.sleep(_POLL_S)


def _with_how(denied: Iterable[str]) -> list[str]:
    return [f"{line}: {HOW}" for line in denied]


async def _compared(settings: Settings, rights: Rights) -> tuple[RightsPlan, QuotaPlan, tuple[str, ...]]:
    principals, prefix = named_principals(settings.tenants), settings.topics.names.prefix
    acls, quotas, faults = _NO_RIGHTS, _NO_QUOTAS, list[str]()
    wanted = wanted_acls(settings)
    if principals:
        try:
            acls = plan_rights(wanted, await rights.acls(), lambda acl: is_own(acl, principals, prefix))
        except NoAuthorizerError as error:
            faults.append(f"{error}; --print says what {len(wanted)} ACLs there should be")
        except RightsError as error:
            faults.append(f"{error} ({HOW}); --print says what {len(wanted)} ACLs there should be")
    wanted_rates = wanted_quotas(settings)
    owned = users_of(sorted(principals))
    if owned:
        try:
            quotas = plan_quotas(wanted_rates, await rights.quotas(), owned)
        except NoAuthorizerError as error:
            faults += [str(error)] if wanted_rates else []
        except RightsError as error:
            faults.append(f"{error} ({HOW})")
    return acls, quotas, tuple(faults)


@asynccontextmanager
async def _rights(settings: Settings) -> AsyncIterator[Rights]:
    async with provision.admin_of(settings.kafka.client_options()) as admin:
        yield Rights(admin)
