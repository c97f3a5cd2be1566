"""Rights and quotas of principals, as a broker keeps them: what is wanted, what is there, and what that differs in. Pure.

What is removed is what the caller owns and does not want any more; what others have made is never removed, it is only told of
where it undoes what is wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["topic", "group", "cluster", "transactional-id", "other"]
ANY_HOST: Final = "*"


@dataclass(frozen=True, slots=True, order=True)
class Acl:
    """One right of one principal."""

    principal: str
    operation: str
    kind: Kind
    name: str
    prefixed: bool = False
    """Whether it is of every name that begins so."""
    host: str = ANY_HOST
    allows: bool = True
    """False: it forbids, whatever others allow."""

    def __str__(self) -> str:
        where = f"{self.kind}s that begin with" if self.prefixed else self.kind
        verb = "" if self.allows else "not "
        host = "" if self.host == ANY_HOST else f" from {self.host}"
        return f"{self.principal}: {verb}{self.operation} on {where} {self.name}{host}"


@dataclass(frozen=True, slots=True, order=True)
class Quota:
    """What a user may do to each broker, in `rate` bytes a second; `key` as Kafka names it."""

    user: str
    key: Literal["producer_byte_rate", "consumer_byte_rate"]
    rate: float

    def __str__(self) -> str:
        return f"User:{self.user}: {self.key} {self.rate:.0f}"


QUOTA_KEYS: Final[tuple[Literal["producer_byte_rate", "consumer_byte_rate"], ...]] = (
    "producer_byte_rate",
    "consumer_byte_rate",
)


@dataclass(frozen=True, slots=True)
class RightsPlan:
    """What has to be made, what is one's own and not wanted any more, and what others have made that undoes a wanted right."""

    missing: tuple[Acl, ...]
    surplus: tuple[Acl, ...]
    against: tuple[Acl, ...]

    @property
    def differs(self) -> bool:
        return bool(self.missing or self.surplus)


@dataclass(frozen=True, slots=True)
class QuotaPlan:
    """What has to be set, with what is there (None: nothing), and what is one's own and not wanted any more."""

    wanted: tuple[tuple[Quota, float | None], ...]
    surplus: tuple[Quota, ...]

    @property
    def differs(self) -> bool:
        return bool(self.wanted or self.surplus)


def plan_rights(wanted: Iterable[Acl], found: Collection[Acl], is_own: Callable[[Acl], bool]) -> RightsPlan:
    """Compare rights. `is_own`: whether one that is there may be removed where it is not wanted; one that forbids is never."""
    wanted, there = set(wanted), set(found)
    return RightsPlan(
        missing=tuple(sorted(wanted - there)),
        surplus=tuple(sorted(acl for acl in there - wanted if acl.allows and is_own(acl))),
        against=tuple(sorted(acl for acl in there if not acl.allows and any(_forbids(acl, each) for each in wanted))),
    )


def plan_quotas(
    wanted: Iterable[Quota], found: Mapping[tuple[str, str], float], owned_users: Collection[str]
) -> QuotaPlan:
    """Compare quotas; `found`: rates by user and key. Of users that are not owned nothing is removed."""
    wanted = sorted(wanted)
    kept = {(quota.user, quota.key) for quota in wanted}
    return QuotaPlan(
        wanted=tuple((q, found.get((q.user, q.key))) for q in wanted if found.get((q.user, q.key)) != q.rate),
        surplus=tuple(
            Quota(user, key, found[user, key])
            for user in sorted(owned_users)
            for key in QUOTA_KEYS
            if (user, key) in found and (user, key) not in kept
        ),
    )


def _forbids(denial: Acl, wanted: Acl) -> bool:
    if denial.principal not in (wanted.principal, "User:*") or denial.kind != wanted.kind:
        return False
    if denial.operation not in (wanted.operation, "All"):
        return False
    if denial.prefixed:
        return wanted.name.startswith(denial.name) or (wanted.prefixed and denial.name.startswith(wanted.name))
    return denial.name in (wanted.name, "*") or (wanted.prefixed and denial.name.startswith(wanted.name))
