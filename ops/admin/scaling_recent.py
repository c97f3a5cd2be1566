"""The last decisions that were in force, with what came of them, read from the topics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ops.admin.records import open_reader, partitions_of, read_until
from schemas.scaling_decision import ScalingDecision
from schemas.scaling_event import ScalingEvent
from streams.scaling.log import DecisionLog, read_decision
from streams.transport.list_offsets import begin_offsets, end_offsets
from topics.names import TopicNames


@dataclass(frozen=True, slots=True)
class Told:
    """A decision, what came of it, and how many before it said the same."""

    decision: ScalingDecision
    events: Sequence[ScalingEvent]
    alike: int = 1


async def recent(client_options: Mapping[str, Any], names: TopicNames, most_records: int) -> list[Told]:
    """Decisions in force among the newest `most_records`, oldest first. Raises ProvisionError."""
    async with open_reader(client_options) as consumer:
        (decided, happened) = await partitions_of(consumer, [names.scaling_decisions, names.scaling_events])
        begins = await begin_offsets(consumer, [decided, happened])
        ends = await end_offsets(consumer, [decided, happened])
        starts = {each: max(begins[each], ends[each] - most_records) for each in (decided, happened)}
        log, decisions = DecisionLog(), list[ScalingDecision]()
        events: dict[int, list[ScalingEvent]] = {}
        async for record in read_until(consumer, starts, ends):
            if record.topic == names.scaling_decisions:
                decision = read_decision(record.value)
                if decision is not None and log.note(decision):
                    decisions.append(decision)
            elif (event := _event(record.value)) is not None:
                events.setdefault(event.epoch, []).append(event)
    return [Told(decision, events.get(decision.epoch, ())) for decision in decisions]


def in_short(told: Sequence[Told]) -> list[Told]:
    """Decisions that follow each other and say the same, as one: the newest of them."""
    found: list[Told] = []
    for each in told:
        if found and _says(found[-1].decision) == _says(each.decision) and not (each.events or found[-1].events):
            found[-1] = Told(each.decision, each.events, found[-1].alike + 1)
        else:
            found.append(each)
    return found


def _says(decision: ScalingDecision) -> tuple[object, ...]:
    return decision.action, decision.workers_wanted, decision.reasons, decision.blocked_by


def _event(value: bytes | None) -> ScalingEvent | None:
    try:
        return ScalingEvent.model_validate_json(value or b"")
    except ValidationError:
        return None
