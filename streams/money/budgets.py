"""Budgets as calls see them: a purse for each request that is in one, filled before each attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from schemas.cost import amount_text
from streams.metrics import definitions as metrics
from streams.money.books import Verdict
from streams.money.desk import Desk, Ticket
from streams.money.rules import AccountKey, Payer, period_end

_PATIENT_S: Final = 0.25
"""A reservation takes a write and a read, 5 to 20 ms: so long a call keeps its place at an endpoint."""
_MOST_WAIT_S: Final = 30.0
"""For others to settle what they have set aside."""
_OF_PERIOD: Final = {"day": "a day", "month": "a month", "total": "in all"}


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a call is not made. `later`: it may be if it is asked for again, before any period begins."""

    message: str
    later: bool


class Budgets:
    """Of one worker."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def known(self) -> None:
        """Returns once the books are read and the settings' budgets stand in them."""
        await self._desk.ready.wait()

    def accounts_of(self, payer: Payer) -> tuple[AccountKey, ...]:
        """The budgets that a payer's calls are in. Before they are known there are none: calls wait in `Purse.cover`."""
        return self._desk.books.rules.accounts_of(payer)

    def used_up(self, payer: Payer) -> Refused | None:
        """Whether a budget has nothing left, so that no call of any price could be made."""
        books = self._desk.books
        if not self._desk.ready.is_set() or books.would(accounts := self.accounts_of(payer), 1) != "over":
            return None
        metrics.BUDGET_RESERVATIONS.labels("refused").inc()
        return self.why(accounts, 1, "over")

    def purse(self, payer: Payer) -> Purse | None:
        """What the payer's call takes its money from; None where no budget asks for it."""
        if self._desk.ready.is_set() and not self.accounts_of(payer):
            return None
        return Purse(self, self._desk, payer)

    def why(self, accounts: tuple[AccountKey, ...], pico: int, verdict: Verdict) -> Refused:
        """Which budget has no room, and when it begins again."""
        books = self._desk.books
        if verdict == "full":
            return Refused("there are more names with budgets than are kept: no call of a new one is made", later=True)
        for key in accounts:
            rule = books.rules.by_key.get(key[0])
            if rule is None or not rule.hard:
                continue
            account, amount = books.view(key), books.amount(key)
            if account.taken + pico <= amount:
                continue
            ends = period_end(rule.period, books.now)
            resets = "it does not begin again" if ends is None else f"it begins again at {ends:%Y-%m-%dT%H:%M:%SZ}"
            return Refused(
                f"the budget {key[0]} of {key[1]} has no room: {amount_text(amount)} USD {_OF_PERIOD[rule.period]}, "
                f"{amount_text(account.spent)} spent and {amount_text(account.open)} set aside, and the call may cost "
                f"{amount_text(pico)}; {resets}",
                later=verdict == "wait",
            )
        return Refused("a budget has no room", later=True)

    def hard_of(self, accounts: tuple[AccountKey, ...]) -> str | None:
        """The first of these budgets that has to be held."""
        by_key = self._desk.books.rules.by_key
        return next((key[0] for key in accounts if key[0] in by_key and by_key[key[0]].hard), None)


class Purse:
    """Of one request. An attempt is covered, made, and settled, one after the other."""

    __slots__ = ("_budgets", "_desk", "_payer", "_ticket")

    def __init__(self, budgets: Budgets, desk: Desk, payer: Payer) -> None:
        self._budgets = budgets
        self._desk = desk
        self._payer = payer
        self._ticket: Ticket | None = None

    async def cover(
        self, most: int | None, model: str, left_s: float, step_aside: Callable[[], None]
    ) -> Refused | None:
        """Set the most aside that the next attempt may cost (pico-units; None: nobody knows). `step_aside` is called where that
        takes long. Why there is no call, where there is to be none: without an answer of the ledger nothing is called.
        """
        if not await self._known(left_s, step_aside):
            return Refused("the ledger of budgets cannot be asked now", later=True)
        accounts = self._budgets.accounts_of(self._payer)
        if not accounts:
            return None
        if most is None:
            return self._without_price(accounts, model)
        if self._ticket is not None and self._ticket.pico >= most:
            return None
        self.settle(0)
        ticket = self._desk.ask(accounts, most)
        try:
            verdict = await self._decided(ticket, min(left_s, _MOST_WAIT_S), step_aside)
        except BaseException:
            self._desk.drop(ticket)
            raise
        if verdict == "held":
            self._ticket = ticket
            metrics.BUDGET_RESERVATIONS.labels("held").inc()
            return None
        metrics.BUDGET_RESERVATIONS.labels("refused").inc()
        return self._budgets.why(accounts, most, verdict)

    def settle(self, pico: int) -> None:
        """What the covered attempt cost; 0 where it was not made, or not paid. Does nothing where nothing is set aside."""
        if self._ticket is not None:
            self._desk.settle(self._ticket, pico)
            self._ticket = None

    async def _decided(self, ticket: Ticket, wait_s: float, step_aside: Callable[[], None]) -> Verdict:
        done, _ = await asyncio.wait([ticket.decided], timeout=min(wait_s, _PATIENT_S))
        if not done:
            step_aside()
            metrics.BUDGET_RESERVATIONS.labels("waited").inc()
            done, _ = await asyncio.wait([ticket.decided], timeout=max(0.0, wait_s - _PATIENT_S))
        if not done:
            self._desk.drop(ticket)
            return "wait"
        return ticket.decided.result()

    async def _known(self, left_s: float, step_aside: Callable[[], None]) -> bool:
        if self._desk.ready.is_set():
            return True
        step_aside()
        try:
            await asyncio.wait_for(self._desk.ready.wait(), min(left_s, _MOST_WAIT_S))
        except TimeoutError:
            return False
        return True

    def _without_price(self, accounts: tuple[AccountKey, ...], model: str) -> Refused | None:
        hard = self._budgets.hard_of(accounts)
        if hard is None:
            return None
        metrics.BUDGET_RESERVATIONS.labels("refused").inc()
        return Refused(
            f"no price is known of the model {model!r}, and the budget {hard} has to be held: name one in [[prices]]",
            later=False,
        )
