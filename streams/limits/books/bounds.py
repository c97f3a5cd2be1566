"""What no grant may say, whoever wrote it: more than the settings allow, or for longer than a lease lasts. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from schemas.lease import Grant, LeaseGrant
from streams.limits.amount import NONE, Amount, amount
from streams.limits.books.ledger import LeaseRules


def within_limits(grant: LeaseGrant, limit: Amount | None, at: float, rules: LeaseRules) -> LeaseGrant:
    """The grant as it counts, that the broker took at `at`: all workers together are given at most the limit, in their order, and
    until a lease later. Everybody reads the same log with the same settings, and so agrees. An honest one stays as it is.
    """
    if limit is None:
        return grant
    left, given = limit, dict[str, Grant]()
    for worker_id, each in grant.grants.items():
        part = amount(each).least(left).most(NONE)
        left -= part
        given[worker_id] = each if part == amount(each) else part.wire()
    until = grant.valid_until
    if until.timestamp() > at + rules.lease_s + rules.late_s:
        until = datetime.fromtimestamp(at + rules.lease_s, UTC)
    if until is grant.valid_until and given == grant.grants:
        return grant
    return grant.model_copy(update={"grants": given, "valid_until": until})
