"""A worker's part of the ledger: what it wants reserved and settled, and what came of it. Pure but for the futures.

asked    --fits by the books--> queued   it goes out with the next entry
asked    --may fit once others have settled--> waiting
queued   --sent--> sent --its entry is read back--> held, or waiting, or refused
waiting  --something was settled, a period or an amount began--> queued
any      --given up by its caller--> dropped; what was held meanwhile is settled with nothing
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from schemas.budget import MOST_IN_ENTRY, LedgerEntry, LedgerMessage, Reserve, Settle
from streams.money.books import Books, Settled, Verdict
from streams.money.rules import AccountKey


@dataclass(slots=True, eq=False)
class Ticket:
    """One reservation that is wanted. `decided` is set with `held`, or with why there is none."""

    accounts: tuple[AccountKey, ...]
    pico: int
    decided: asyncio.Future[Verdict]
    number: int = -1
    """Of its reservation, once it was queued."""


@dataclass(slots=True)
class Desk:
    """`wake` is called when an entry is due."""

    worker_id: str
    wake: Callable[[], None]
    books: Books = field(default_factory=Books)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the books are read to the end, and the settings' budgets stand in them."""
    _next_number: int = 0
    _seq: int = 0
    _queued: deque[Ticket] = field(default_factory=deque)
    _sent: dict[int, Ticket] = field(default_factory=dict)
    _waiting: dict[Ticket, None] = field(default_factory=dict)
    _settles: deque[Settle] = field(default_factory=deque)
    _held: int = 0

    def ask(self, accounts: tuple[AccountKey, ...], pico: int) -> Ticket:
        """Want a reservation. Where the books are known to have no room for it, it is refused, or waits, at once."""
        ticket = Ticket(accounts, pico, asyncio.get_running_loop().create_future())
        self._place(ticket, self.books.would(accounts, pico) if self.ready.is_set() else "held")
        return ticket

    def drop(self, ticket: Ticket) -> None:
        """Its caller wants it no more."""
        ticket.decided.cancel()
        self._waiting.pop(ticket, None)

    def settle(self, ticket: Ticket, pico: int) -> None:
        """A reservation that was held: what its call cost, 0 where none was made."""
        self._held -= 1
        self._settles.append(Settle(ticket.number, pico))
        self.wake()

    @property
    def due(self) -> bool:
        """Whether there is something to say."""
        return bool(self._queued or self._settles)

    @property
    def holds(self) -> bool:
        """Whether something is set aside for this worker, so that it has to be heard of."""
        return self._held > 0 or bool(self._sent)

    def entry(self, *, closes: bool = False) -> LedgerEntry:
        """What to write now. The next one is asked for once the broker has this one."""
        settles = [self._settles.popleft() for _ in range(min(MOST_IN_ENTRY, len(self._settles)))]
        reserves: list[Reserve] = []
        while self._queued and len(reserves) < MOST_IN_ENTRY:
            ticket = self._queued.popleft()
            if ticket.decided.cancelled():
                continue
            self._next_number += 1
            ticket.number = self._next_number
            self._sent[ticket.number] = ticket
            reserves.append(Reserve(ticket.number, ticket.pico, ticket.accounts))
        self._seq += 1
        return LedgerEntry(worker_id=self.worker_id, seq=self._seq, settles=settles, reserves=reserves, closes=closes)

    def read(self, offset: int, at: float, message: LedgerMessage) -> tuple[Sequence[Settled], bool]:
        """The ledger's next record: what it settled of this worker's, and whether this worker is to write the state now."""
        read = self.books.read(offset, at, message)
        mine = isinstance(message, LedgerEntry) and message.worker_id == self.worker_id
        if mine:
            for number, verdict in read.verdicts.items():
                ticket = self._sent.pop(number, None)
                if ticket is not None:
                    self._read_back(ticket, verdict)
        if self._waiting and self.ready.is_set():
            self._look_again()
        return (read.settled if mine else ()), mine and read.writes

    def look_again(self) -> None:
        """The books are known now, or time has passed."""
        if self._waiting and self.ready.is_set():
            self._look_again()

    def _read_back(self, ticket: Ticket, verdict: Verdict) -> None:
        if verdict == "held":
            self._held += 1
            if ticket.decided.cancelled():
                self.settle(ticket, 0)
            else:
                ticket.decided.set_result(verdict)
        elif not ticket.decided.cancelled():
            self._place(ticket, verdict)

    def _place(self, ticket: Ticket, verdict: Verdict) -> None:
        if verdict == "held":
            self._queued.append(ticket)
            self.wake()
        elif verdict == "wait":
            self._waiting[ticket] = None
        else:
            ticket.decided.set_result(verdict)

    def _look_again(self) -> None:
        """First come, first served: who waits is tried again as far as the room goes that there is now."""
        planned: dict[AccountKey, int] = {}
        for ticket in list(self._waiting):
            verdict = self.books.would(ticket.accounts, ticket.pico, planned)
            if verdict == "wait":
                continue
            del self._waiting[ticket]
            self._place(ticket, verdict)
            for key in ticket.accounts if verdict == "held" else ():
                planned[key] = planned.get(key, 0) + ticket.pico
