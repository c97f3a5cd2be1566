"""Budgets for people: what the ledger says of them, and an amount that is set."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from aiokafka.errors import KafkaError, TopicAuthorizationFailedError
from aiokafka.structs import TopicPartition

from ops.admin.records import open_reader, open_writer, partitions_of, read_until
from ops.load.traffic import SendError
from schemas.budget import STATE, LedgerAmount, parse_ledger
from schemas.cost import amount_text
from streams.kafka.list_offsets import begin_offsets, end_offsets
from streams.money.books import Books
from streams.money.rules import period_end
from streams.money.states import StateReader
from streams.settings import Settings
from topics.headers import message_headers

_SOURCE: Final = "/headrace/cli"


class NoSuchBudgetError(ValueError):
    """No budget is called so; the message is one line."""


@dataclass(frozen=True, slots=True)
class Row:
    """One budget and name, as it stands. Amounts are decimals of US dollars."""

    budget: str
    name: str
    amount: str
    spent: str
    set_aside: str
    ends: str | None
    """When it begins again, RFC 3339; None for a total."""
    hard: bool


async def read_books(settings: Settings) -> Books:
    """The books of all budgets, as the ledger has them now. Raises ProvisionError."""
    names = settings.topics.names
    async with open_reader(settings.kafka.client_options()) as consumer:
        await partitions_of(consumer, [names.budget_ledger, names.budget_state])
        ledger, state = TopicPartition(names.budget_ledger, 0), TopicPartition(names.budget_state, 0)
        consumer.assign([ledger, state])
        first, behind = await begin_offsets(consumer, [ledger, state]), await end_offsets(consumer, [ledger, state])
        states = StateReader()
        consumer.assign([state])
        async for record in read_until(consumer, {state: first[state]}, {state: behind[state]}):
            try:
                states.note(record.key or b"", STATE.validate_json(record.value or b""))
            except ValueError:
                continue
        books = states.newest()
        begin = first[ledger] if books.offset >= behind[ledger] else max(first[ledger], books.offset + 1)
        consumer.assign([ledger])
        async for record in read_until(consumer, {ledger: begin}, {ledger: behind[ledger]}):
            try:
                message = parse_ledger(record.value or b"")
            except ValueError:
                continue
            books.read(record.offset, record.timestamp / 1000, message)
    return books


def rows_of(books: Books) -> Iterator[Row]:
    """Every budget and name of which something was spent or set aside, by budget."""
    for key in sorted(books.accounts):
        rule = books.rules.by_key.get(key[0])
        if rule is not None:
            account, ends = books.view(key), period_end(rule.period, books.now)
            told = None if ends is None else ends.isoformat()
            taken = amount_text(account.spent), amount_text(account.open)
            yield Row(*key, amount_text(books.amount(key)), *taken, told, rule.hard)


async def set_amount(settings: Settings, budget: str, name: str | None, pico: int | None, by: str) -> None:
    """Let a budget have another amount, from the record on that is written here; None: what the settings say again.

    Raises NoSuchBudgetError, ProvisionError, SendError.
    """
    books = await read_books(settings)
    if budget not in books.rules.by_key:
        known = ", ".join(sorted(books.rules.by_key)) or "none yet: a worker writes them at its start"
        raise NoSuchBudgetError(f"there is no budget {budget!r}; there are: {known}")
    now = datetime.now(UTC)
    message = LedgerAmount(budget=budget, name=name, pico=pico, by=by, at=now)
    async with open_writer(settings.kafka.client_options()) as producer:
        headers = message_headers("budget", event_id=uuid.uuid4().hex, source=_SOURCE, time=now)
        topic = settings.topics.names.budget_ledger
        try:
            await producer.send_and_wait(topic, message.to_json(), budget.encode(), partition=0, headers=headers)
        except TopicAuthorizationFailedError:
            raise  # in the writer's words
        except (KafkaError, TimeoutError) as error:
            raise SendError(f"the broker did not take the amount: {error}") from error
