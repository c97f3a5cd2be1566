"""A redrive before it is asked for, counted to the letter; and one that runs, followed."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from ops.admin.actions import ActionError, outcomes_from
from ops.admin.records import open_reader, partitions_of, read_until
from schemas.admin import AdminOutcome, LetterFilter
from streams.actions.letters import MOST_TIMES, fits, letter_of, times_redriven, why_not
from streams.kafka.list_offsets import begin_offsets, end_offsets
from streams.settings import Settings


@dataclass(slots=True)
class Counted:
    """What a redrive would do. `until`: by partition, the offset before which was counted."""

    sent: int = 0
    skipped: int = 0
    """That cannot be sent back."""
    guarded: int = 0
    """That were sent again three times already."""
    by_reason: Counter[str] = field(default_factory=Counter)
    by_provider: Counter[str] = field(default_factory=Counter)
    by_priority: Counter[str] = field(default_factory=Counter)
    until: dict[str, int] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)

    @property
    def matched(self) -> int:
        return self.sent + self.skipped + self.guarded

    def summary(self) -> dict[str, Any]:
        """For programs."""
        return {
            "matched": self.matched,
            "sent": self.sent,
            "skipped": self.skipped,
            "guarded": self.guarded,
            "by_reason": dict(self.by_reason),
            "by_provider": dict(self.by_provider),
            "by_class": dict(self.by_priority),
            "examples": self.examples,
        }


async def count(settings: Settings, wanted: LetterFilter, *, forced: bool = False) -> Counted:
    """Count the dead letters that are there now, by reading them. Raises ProvisionError, ActionError."""
    names, counted, tenant = settings.topics.names, Counted(), wanted.tenant
    if tenant and tenant not in names.tenants:
        raise ActionError(f"there is no tenant {tenant!r}: {', '.join(names.tenants) or 'the settings have none'}")
    options = settings.kafka.client_options()
    async with open_reader(options, isolation_level="read_committed") as consumer:
        partitions = await partitions_of(consumer, [names.dead_letters_of(tenant)])
        begins, ends = await begin_offsets(consumer, partitions), await end_offsets(consumer, partitions)
        counted.until = {str(each.partition): offset for each, offset in ends.items()}
        async for record in read_until(consumer, begins, ends):
            letter = letter_of(record)
            if not fits(wanted, names, record.partition, record, letter):
                continue
            if letter is None or why_not(names, record, letter, tenant) is not None:
                counted.skipped += 1
            elif times_redriven(record) >= MOST_TIMES and not forced:
                counted.guarded += 1
            else:
                counted.sent += 1
            if letter is not None:
                counted.by_reason[letter.dlq_reason] += 1
                counted.by_provider[letter.dlq_provider or "-"] += 1
                counted.by_priority[names.priority_of.get(letter.dlq_topic, "-")] += 1
            if len(counted.examples) < 5:
                counted.examples.append(f"{record.partition}:{record.offset}")
    return counted


async def follow(settings: Settings, action_id: str, offset: int) -> AsyncIterator[AdminOutcome]:
    """What is said of a redrive from this offset on, up to its end or its stop. Raises ProvisionError."""
    async for noted in outcomes_from(settings, offset):
        said = noted.record
        if isinstance(said, AdminOutcome) and said.action_id == action_id and said.action == "redrive":
            yield said
            if said.state != "running":
                return
