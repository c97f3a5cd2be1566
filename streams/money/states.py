"""The books as records, and back: a state in parts, each small enough for one record. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from schemas.budget import AccountState, AmountState, BudgetState, OpenState, WorkerState
from streams.money.books import Account, Books, Reservation, WorkerBook
from streams.money.rules import BudgetRules

SLOTS: Final = 4
"""States that are kept: one that is being written, and three that are whole."""
_ROWS: Final = 500
"""Of one part. A row is at most 1.5 KB."""


def state_of(books: Books) -> list[tuple[bytes, BudgetState]]:
    """The records that keep the books as they are now: keys and values. The same books make the same records."""
    accounts = [AccountState(*key, account.since, account.spent) for key, account in books.accounts.items()]
    workers = [WorkerState(name, worker.seq, worker.at) for name, worker in books.workers.items()]
    amounts = [AmountState(*key, pico) for key, pico in books.amounts.items()]
    opened = [
        OpenState(name, number, each.at, each.pico, each.accounts)
        for name, worker in books.workers.items()
        for number, each in worker.open.items()
    ]
    chunks: list[dict[str, Any]] = [{"rules": rules} for rules in _chunks(list(books.rules.by_key.values()))]
    chunks += [{"workers": rows} for rows in _chunks(workers)]
    chunks += [{"accounts": rows} for rows in _chunks(accounts)]
    chunks += [{"amounts": rows} for rows in _chunks(amounts)]
    chunks += [{"open": rows} for rows in _chunks(opened)]
    slot = books.states % SLOTS
    head: dict[str, Any] = {
        "at": books.now,
        "states": books.states,
        "entries": books.entries,
        "parts": max(1, len(chunks)),
    }
    return [
        (b"%d-%d" % (slot, part), BudgetState(offset=max(0, books.offset), part=part, **head, **chunk))
        for part, chunk in enumerate(chunks or [{}])
    ]


def _chunks(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(rows), _ROWS):
        yield list(rows[start : start + _ROWS])


@dataclass(slots=True)
class StateReader:
    """Gathers the parts of states; the last record of a key counts."""

    _parts: dict[bytes, BudgetState] = field(default_factory=dict)

    def note(self, key: bytes, state: BudgetState) -> None:
        self._parts[key] = state

    def newest(self) -> Books:
        """Books as the newest whole state has them; empty ones where there is none."""
        by_state: dict[tuple[int, int], list[BudgetState]] = {}
        for part in self._parts.values():
            by_state.setdefault((part.offset, part.states), []).append(part)
        whole = [parts for parts in by_state.values() if {p.part for p in parts} == set(range(parts[0].parts))]
        return books_of(max(whole, key=lambda parts: parts[0].offset)) if whole else Books()


def books_of(parts: Sequence[BudgetState]) -> Books:
    """The books that these parts of one state keep."""
    head = parts[0]
    books = Books(head.offset, head.at, head.states, head.entries)
    books.rules = BudgetRules([rule for part in parts for rule in part.rules])
    books.amounts = {(each.budget, each.name): each.pico for part in parts for each in part.amounts}
    for part in parts:
        for kept in part.accounts:
            books.accounts[kept.budget, kept.name] = Account(kept.since, kept.spent)
        for worker in part.workers:
            books.workers[worker.worker_id] = WorkerBook(worker.seq, worker.at)
    for part in parts:
        for held in part.open:
            reservation = Reservation(held.at, held.pico, held.accounts)
            books.workers.setdefault(held.worker_id, WorkerBook()).open[held.number] = reservation
            for budget, name, since in held.accounts:
                account = books.accounts.get((budget, name))
                if account is not None and account.since == since:
                    account.open += held.pico
    return books
