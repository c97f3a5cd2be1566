"""The ledger of budgets: money is reserved before a call, and settled after it, by the order of one log.

Everybody reads the same records in the same order and decides alike, so that whether a reservation holds is known from the log
alone. Amounts are integers of 10^-12 of a US dollar. Times are the broker's (LogAppendTime).
"""

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter

from schemas.message import Count, Identifier, Instant, Message

MOST_PICO: Final = 9 * 10**18
"""Nine million dollars: what 64 bits hold."""
MOST_IN_ENTRY: Final = 500
MOST_RULES: Final = 1000

AccountName = Annotated[str, Field(min_length=1, max_length=600)]
"""Of a tenant, a key or an agent; an agent of a tenant is `TENANT/AGENT`, and longer than an agent may be."""
Pico = Annotated[int, Field(ge=0, le=MOST_PICO)]
Scope = Literal["tenant", "key", "agent"]
Period = Literal["day", "month", "total"]
BudgetKey = Annotated[str, Field(min_length=1, max_length=600)]
"""`scope/name pattern/period`."""


@dataclass(frozen=True, slots=True)
class BudgetRule:
    """A budget of the settings. Each name that fits `name` has the amount."""

    scope: Scope
    name: Annotated[str, Field(min_length=1, max_length=256)]
    period: Period
    pico: Pico
    hard: bool

    @property
    def key(self) -> str:
        """What it is called: `agent/team-*/day`."""
        return f"{self.scope}/{self.name}/{self.period}"


@dataclass(frozen=True, slots=True)
class Reserve:
    """Money for one call, of all the budgets that it is in, or of none."""

    number: Count
    pico: Pico
    accounts: Annotated[tuple[tuple[BudgetKey, AccountName], ...], Field(min_length=1, max_length=16)]
    """Each a budget and the name that it is for."""


@dataclass(frozen=True, slots=True)
class Settle:
    """What a reserved call cost; 0 where it was not made."""

    number: Count
    pico: Pico


class LedgerEntry(Message):
    """What one worker reserves and settles. Settlements come first. The record's key is the worker."""

    kind: Literal["entry"] = "entry"
    worker_id: Identifier
    seq: Count = Field(description="Rises with each entry of a worker; one that was read already is void.")
    settles: list[Settle] = Field([], max_length=MOST_IN_ENTRY)
    reserves: list[Reserve] = Field([], max_length=MOST_IN_ENTRY)
    closes: bool = Field(False, description="Nothing follows for now: its writer writes the state.")


class LedgerRules(Message):
    """The budgets as the settings of the worker that started last have them; in force from here on."""

    kind: Literal["rules"] = "rules"
    worker_id: Identifier
    rules: Annotated[list[BudgetRule], Field(max_length=MOST_RULES)]


class LedgerAmount(Message):
    """An amount that an operator has set, until the settings say another one."""

    kind: Literal["amount"] = "amount"
    budget: BudgetKey
    name: AccountName | None = Field(None, description="For this name alone; without it for all that fit.")
    pico: Pico | None = Field(None, description="None: what the settings say holds again.")
    by: Annotated[str, Field(max_length=256)] = ""
    at: Instant


LedgerMessage = LedgerEntry | LedgerRules | LedgerAmount
LEDGER: TypeAdapter[LedgerMessage] = TypeAdapter(Annotated[LedgerMessage, Field(discriminator="kind")])


def parse_ledger(value: bytes) -> LedgerMessage:
    """Read any kind. Raises pydantic.ValidationError (a ValueError)."""
    return LEDGER.validate_json(value)


@dataclass(frozen=True, slots=True)
class AccountState:
    """Of one budget and name."""

    budget: BudgetKey
    name: AccountName
    since: Annotated[int, Field(ge=0)]
    """When its period began, in Unix seconds; 0 for a total."""
    spent: Pico


@dataclass(frozen=True, slots=True)
class OpenState:
    """A reservation that is not settled."""

    worker_id: Identifier
    number: Count
    at: Annotated[float, Field(ge=0)]
    pico: Pico
    accounts: tuple[tuple[BudgetKey, AccountName, int], ...]
    """Budget, name and when the period began that it counts in."""


@dataclass(frozen=True, slots=True)
class WorkerState:
    """The last entry of a worker."""

    worker_id: Identifier
    seq: Count
    at: Annotated[float, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class AmountState:
    """An amount that an operator has set."""

    budget: BudgetKey
    name: str
    pico: Pico


class BudgetState(Message):
    """A part of the books as they stand behind one record of the ledger. Records of this topic alone are kept for ever.

    The parts of one state have the same offset. States go round in a few slots, so that one that was cut short destroys none
    of the others: the newest whole one counts.
    """

    kind: Literal["state"] = "state"
    offset: Count
    at: Annotated[float, Field(ge=0)] = Field(description="The broker's time there.")
    states: Count = Field(description="How many states were written before.")
    entries: Count = Field(0, description="Entries since the last state.")
    part: Count
    parts: Annotated[int, Field(ge=1, le=100_000)]
    rules: list[BudgetRule] = Field([])
    amounts: list[AmountState] = Field([])
    workers: list[WorkerState] = Field([])
    accounts: list[AccountState] = Field([])
    open: list[OpenState] = Field([])


STATE: TypeAdapter[BudgetState] = TypeAdapter(BudgetState)
