"""Who is granted how much: heads first, in turn; then in proportion to demand; then a little to everybody.

The head of a worker's queue gets all of its tokens in one grant or nothing: what is there is kept until it is enough, so
that small calls never starve a large one. Turns follow the tokens granted by demand (stride scheduling, Waldspurger 1995).

What nobody else waits for is not paced: in a quiet fleet, where all that waits fits into the room, it is granted in one round.
What quiet workers hold is recalled for a head that does not fit without it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import ceil

from streams.limits.amount import NONE, Amount, total
from streams.limits.books.account import Account
from streams.limits.books.ledger import Ledger

_LEAST_WEIGHT_SHARE = 0.25
"""A worker counts with at least this part of the mean demand, so that a short queue is not forgotten beside long ones."""


@dataclass(frozen=True, slots=True)
class Shares:
    """What to grant, by worker, and whether somebody has to wait."""

    grants: dict[str, Amount]
    scarce: bool
    recalled: tuple[str, ...] = ()
    """Quiet workers that are to give up what they hold, for the head that is next."""


def share(ledger: Ledger, known: Collection[str], now: float) -> Shares:
    """Divide what may be granted now. `ledger` is advanced to `now`."""
    limit = ledger.limit.at(now)
    waiting = {
        worker_id: account
        for worker_id, account in ledger.accounts.items()
        if worker_id in known and account.waiting.requests and account.head.fits(limit)
    }
    grants: dict[str, Amount] = {}
    room, paced = ledger.unpaced(now), ledger.available(now)
    spare = _spare(ledger, known, now)
    everything = total(account.wanted for account in waiting.values())
    hurried = not ledger.loaded(now) and everything.fits(room + total(spare.values()))
    needed = _heads(ledger, waiting, room if hurried else paced, grants, beyond=room if ledger.rested else NONE)
    ledger.needed = needed
    if needed != NONE:
        return Shares(grants, scarce=True, recalled=tuple(spare) if hurried else ())
    given = total(grants.values())
    left = _proportional(ledger, waiting, (room if hurried else paced) - given, grants)
    _standing(ledger, known, left.least(paced - given), grants, now)
    return Shares(grants, scarce=False)


def _spare(ledger: Ledger, known: Collection[str], now: float) -> dict[str, Amount]:
    """What workers hold that wait for nothing and were not asked for it already."""
    return {
        worker_id: account.held
        for worker_id, account in ledger.accounts.items()
        if worker_id in known
        and not account.waiting.requests
        and account.held != NONE
        and now > account.recalled_at + ledger.rules.late_s
    }


def _heads(
    ledger: Ledger, waiting: dict[str, Account], available: Amount, grants: dict[str, Amount], beyond: Amount
) -> Amount:
    """Give every waiting worker what its next call needs, in turn; what the first one without lacks.

    The first may take up to `beyond` where `available` is not enough: after a rest one call may be larger than the burst.
    """
    short = {worker_id: account for worker_id, account in waiting.items() if _lacks(account, 1) != NONE}
    if not short:
        return NONE
    mean = sum(account.weight for account in waiting.values()) / len(waiting)
    start = min(account.turn for account in waiting.values())
    for account in ledger.accounts.values():
        if account not in waiting.values():
            account.turn = max(account.turn, start)  # who was quiet saved nothing up
    for worker_id, account in sorted(short.items(), key=lambda item: (item[1].turn, item[0])):
        lacks = _lacks(account, 1)
        if not lacks.fits(available) and not (lacks.fits(beyond) and not grants):
            return lacks
        available -= lacks
        grants[worker_id] = lacks
        account.turn += max(lacks.tokens, lacks.input, lacks.output, lacks.requests) / max(
            account.weight, mean * _LEAST_WEIGHT_SHARE, 1.0
        )
    return NONE


def _proportional(ledger: Ledger, waiting: dict[str, Account], available: Amount, grants: dict[str, Amount]) -> Amount:
    """Give waiting workers for as many calls as they made of late in two leases, in proportion to demand."""
    whole = sum(account.weight for account in waiting.values())
    left = available
    for worker_id, account in waiting.items():
        ahead = ceil(account.rate.requests * ledger.rules.lease_s * 2)
        lacks = _lacks(account, 1 + min(ahead, int(account.waiting.requests) - 1)) - grants.get(worker_id, NONE)
        part = available * (account.weight / whole if whole else 0.0)
        left -= _give(worker_id, lacks.most(NONE).least(part).least(left), grants)
    return left


def _standing(ledger: Ledger, known: Collection[str], available: Amount, grants: dict[str, Amount], now: float) -> None:
    """Give every known worker what its next calls may need, so that they wait for nobody."""
    if not known:
        return
    limit = ledger.limit.at(now)
    each = limit.limited_by(limit) * (ledger.rules.standing_share / len(known))
    each = each.most(Amount(1, 0))
    for worker_id in sorted(known):
        account = ledger.account(worker_id)
        wants = each.most(account.rate * (2 * ledger.rules.lease_s))
        lacks = wants - account.held - grants.get(worker_id, NONE)
        if (lacks - each * 0.25).most(NONE) == NONE:
            continue  # not worth a grant
        given = lacks.most(NONE).least(available * 0.5)
        available -= _give(worker_id, given, grants)


def _lacks(account: Account, calls: int) -> Amount:
    """What a worker's next `calls` calls need beyond what it holds."""
    mean = account.waiting * (1 / account.waiting.requests)
    return (account.head + mean * (calls - 1) - account.held).most(NONE)


def _give(worker_id: str, given: Amount, grants: dict[str, Amount]) -> Amount:
    whole = given.whole()
    if whole != NONE:
        grants[worker_id] = grants.get(worker_id, NONE) + whole
    return whole
