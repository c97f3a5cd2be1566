"""The books of all budgets, from the ledger alone: what was spent and what is set aside. Pure.

A reservation holds if there was room for it when its record came to stand in the log, and everybody who reads the log says the
same. So there is nobody who grants, nothing that lapses and no clock that has to be right: a worker that was stopped for an hour
finds its reservations as it left them. What a worker has reserved and never settled, because it died, counts as spent.

    reserved --settle--> spent (what it cost)
    reserved --HELD_S without a settlement--> spent (what was set aside)
    account  --the period is over--> nothing spent, nothing set aside; what is open from before counts where it was reserved
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final, Literal

from schemas.budget import MOST_PICO, BudgetRule, LedgerAmount, LedgerEntry, LedgerMessage, LedgerRules, Reserve
from streams.money.rules import AccountKey, BudgetRules, period_start

HELD_S: Final = 6 * 3600.0
"""Longer than any call: a reservation that is older is of a worker that died."""
SILENT_S: Final = 30.0
"""A worker that has reserved something says so at least three times in this time."""
MOST_ACCOUNTS: Final = 50_000
"""Names may be anybody's to invent; beyond it calls of new ones are refused."""
STATE_EVERY: Final = 1000
"""Entries between two written states: a worker that starts reads at most so many and a few."""
_FORGET_S: Final = 2 * HELD_S

Verdict = Literal["held", "wait", "over", "full"]
"""There was room; there may be once others have settled; there is none in this period; there are too many names."""


@dataclass(slots=True)
class Account:
    since: int = 0
    spent: int = 0
    open: int = 0

    @property
    def taken(self) -> int:
        return self.spent + self.open


@dataclass(frozen=True, slots=True)
class Reservation:
    at: float
    pico: int
    accounts: tuple[tuple[str, str, int], ...]
    """Budget, name, and when the period began that it counts in."""


@dataclass(slots=True)
class WorkerBook:
    seq: int = -1
    at: float = -inf
    open: dict[int, Reservation] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settled:
    """What was spent of an account, before and after."""

    account: AccountKey
    before: int
    after: int
    since: int = 0
    """When the period began that it counts in."""


@dataclass(frozen=True, slots=True)
class Read:
    """What a record came to. `verdicts`: of its reservations, by number; `writes`: its writer is to write the state."""

    verdicts: dict[int, Verdict] = field(default_factory=dict)
    settled: list[Settled] = field(default_factory=list)
    writes: bool = False


_VOID: Final = Read()


@dataclass(slots=True)
class Books:
    """`offset` is of the last record that was read; -1 before the first."""

    offset: int = -1
    now: float = 0.0
    """The broker's time, which never goes back here: a clock that is set back begins no period anew."""
    states: int = 0
    entries: int = 0
    rules: BudgetRules = field(default_factory=lambda: BudgetRules(()))
    amounts: dict[AccountKey, int] = field(default_factory=dict)
    """Set by operators; the name is empty where it is for all."""
    accounts: dict[AccountKey, Account] = field(default_factory=dict)
    workers: dict[str, WorkerBook] = field(default_factory=dict)

    # ---- reading

    def read(self, offset: int, at: float, message: LedgerMessage) -> Read:
        """Take in the log's next record."""
        if offset <= self.offset:
            return _VOID
        before, self.offset, self.now = self.now, offset, max(self.now, at)
        if isinstance(message, LedgerRules):
            self._set_rules(message.rules)
        elif isinstance(message, LedgerAmount):
            self._set_amount(message)
        else:
            return self._entry(message, before)
        return _VOID

    def _entry(self, entry: LedgerEntry, before: float) -> Read:
        worker = self.workers.setdefault(entry.worker_id, WorkerBook())
        if entry.seq <= worker.seq:
            return _VOID  # sent twice, as the first ack was lost
        worker.seq, worker.at = entry.seq, self.now
        read = Read()
        for settle in entry.settles:
            if (reservation := worker.open.pop(settle.number, None)) is not None:
                read.settled.extend(self._settle(reservation, settle.pico))
        for reserve in entry.reserves:
            read.verdicts[reserve.number] = self._reserve(worker, reserve)
        self.entries += 1
        if self.entries >= STATE_EVERY or entry.closes or self.now // 3600 > before // 3600:
            self.entries, self.states = 0, self.states + 1
            self._forget()
            return Read(read.verdicts, read.settled, writes=True)
        return read

    def _reserve(self, worker: WorkerBook, reserve: Reserve) -> Verdict:
        if reserve.number in worker.open:
            return "full"  # a number is given once
        verdict = self.would(reserve.accounts, reserve.pico)
        if verdict == "held":
            accounts = [(key, self._account(key)) for key in reserve.accounts if key[0] in self.rules.by_key]
            for _, account in accounts:
                account.open += reserve.pico
            held = tuple((*key, account.since) for key, account in accounts)
            worker.open[reserve.number] = Reservation(self.now, reserve.pico, held)
        return verdict

    def _settle(self, reservation: Reservation, pico: int) -> Iterator[Settled]:
        for budget, name, since in reservation.accounts:
            account = self.accounts.get((budget, name))
            if account is None or account.since != since:
                continue  # its period is over
            account.open -= reservation.pico
            before, account.spent = account.spent, min(MOST_PICO, account.spent + pico)
            yield Settled((budget, name), before, account.spent, since)

    def _set_rules(self, rules: Sequence[BudgetRule]) -> None:
        """Amounts of operators hold until the settings name another amount."""
        known = self.rules.by_key
        self.rules = BudgetRules(rules)
        same = {rule.key for rule in rules if (old := known.get(rule.key)) is not None and old.pico == rule.pico}
        self.amounts = {key: pico for key, pico in self.amounts.items() if key[0] in same}

    def _set_amount(self, message: LedgerAmount) -> None:
        key = (message.budget, message.name or "")
        if message.pico is None:
            self.amounts.pop(key, None)
        elif message.budget in self.rules.by_key and (key in self.amounts or len(self.amounts) < MOST_ACCOUNTS):
            self.amounts[key] = message.pico

    def _account(self, key: AccountKey) -> Account:
        """The account in the present period."""
        since = period_start(self.rules.by_key[key[0]].period, self.now)
        account = self.accounts.get(key)
        if account is None:
            account = self.accounts[key] = Account(since)
        elif account.since < since:
            account.since, account.spent, account.open = since, 0, 0
        return account

    def _forget(self) -> None:
        """Reservations of the dead are spent; what says nothing more is dropped."""
        for worker_id, worker in list(self.workers.items()):
            for number, reservation in list(worker.open.items()):
                if reservation.at + HELD_S < self.now:
                    del worker.open[number]
                    list(self._settle(reservation, reservation.pico))
            if not worker.open and worker.at + _FORGET_S < self.now:
                del self.workers[worker_id]
        day, month = period_start("day", self.now), period_start("month", self.now)
        for key, account in list(self.accounts.items()):  # those of budgets that are gone too: they may come back
            if account.since and account.since < (day if key[0].endswith("/day") else month):
                del self.accounts[key]

    # ---- asking

    def would(self, accounts: Iterable[AccountKey], pico: int, planned: dict[AccountKey, int] | None = None) -> Verdict:
        """What would become of a reservation now. `planned`: besides what is taken."""
        verdict: Verdict = "held"
        for key in accounts:
            rule = self.rules.by_key.get(key[0])
            if rule is None:
                continue
            account = self.view(key)
            if key not in self.accounts and len(self.accounts) >= MOST_ACCOUNTS:
                return "full"
            if not rule.hard:
                continue
            amount = self.amount(key)
            if account.taken + pico + (planned or {}).get(key, 0) <= amount:
                continue
            if account.spent + self.lost(key) + pico > amount:
                return "over"
            verdict = "wait"
        return verdict

    def view(self, key: AccountKey) -> Account:
        """The account as it stands now; changes nothing."""
        account, since = self.accounts.get(key), period_start(self.rules.by_key[key[0]].period, self.now)
        return Account(since) if account is None or account.since < since else account

    def amount(self, key: AccountKey) -> int:
        """What may be spent, in pico-units."""
        named = self.amounts.get(key)
        if named is None:
            named = self.amounts.get((key[0], ""))
        return self.rules.by_key[key[0]].pico if named is None else named

    def lost(self, key: AccountKey) -> int:
        """Set aside by workers that say nothing any more: nobody need wait for it to come back."""
        since = self.view(key).since
        return sum(
            reservation.pico
            for worker in self.workers.values()
            if worker.open and worker.at + SILENT_S < self.now
            for reservation in worker.open.values()
            if (*key, since) in reservation.accounts
        )
