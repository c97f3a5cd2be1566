"""What requests cost, summed by what is asked for: from the windows of costs, or from the answers themselves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Generic, Literal, TypeVar

import orjson
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from ops.admin.records import open_reader, partitions_of, read_until
from schemas.cost import pico_of
from schemas.cost_window import CostRow
from streams.kafka.list_offsets import begin_offsets, end_offsets
from streams.money.sums import Sum, WindowSums
from streams.settings import Settings
from topics.names import TopicNames

By = Literal["agent", "key", "model", "provider", "tenant"]
_FIELD: Final[Mapping[str, str]] = {"agent": "agent_id", "model": "model", "provider": "provider"}
MOST_ROWS: Final = 100_000
"""Names that are summed apart; those beyond are one row."""
REST: Final = "(others)"
_SLACK_S: Final = 300
"""A worker's clock may be ahead of the broker's by so much: its windows are written before their minute."""
_MINUTE_S: Final = 60

Group = TypeVar("Group", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Summed(Generic[Group]):
    """What was summed, the dearest first."""

    sums: list[tuple[Group, Sum]]
    since: datetime
    """The first minute that is in it."""
    reaches: datetime | None
    """When the oldest record was written that is kept; None: there is none at all."""
    malformed: int = 0

    @property
    def whole(self) -> bool:
        """Whether everything since then is kept."""
        return self.reaches is not None and self.reaches <= self.since


def name_of(by: By, row: CostRow) -> str:
    """What a row is called in a sum."""
    return str(getattr(row, by)) or "-"


async def sum_windows(
    settings: Settings,
    group: Callable[[int, CostRow], Group | None],
    since_s: float,
    until_s: float | None = None,
) -> Summed[Group]:
    """Windows of the minutes from `since_s` on, up to and without `until_s` (Unix seconds). Raises ProvisionError."""
    first_minute = max(0, int(since_s)) // _MINUTE_S * _MINUTE_S
    last = float("inf") if until_s is None else until_s

    def grouped(minute: int, row: CostRow) -> Group | None:
        return group(minute, row) if first_minute <= minute < last else None

    sums: WindowSums[Group] = WindowSums(grouped)
    topic = settings.topics.names.cost_windows
    reaches = None
    async with open_reader(settings.kafka.client_options()) as consumer:
        (partition,) = await partitions_of(consumer, [topic])
        consumer.assign([partition])
        oldest = (await begin_offsets(consumer, [partition]))[partition]
        behind = (await end_offsets(consumer, [partition]))[partition]
        async for record in read_until(consumer, {partition: oldest}, {partition: min(behind, oldest + 1)}):
            reaches = datetime.fromtimestamp(record.timestamp / 1000, UTC)
        begin = (await _since(consumer, [partition], max(0, first_minute - _SLACK_S) * 1000)).get(partition, behind)
        async for record in read_until(consumer, {partition: begin}, {partition: behind}):
            sums.note(record.key, record.value, record.timestamp / 1000)
    return Summed(list(sums.rows()), datetime.fromtimestamp(first_minute, UTC), reaches, sums.malformed)


class Sums:
    """Answers by a name, each answer once: a second one to the same record is left out, and one that called nobody.

    The tenant is that of the topic that the request came from, whatever topic the answer is on.
    """

    def __init__(self, by: By, names: TopicNames) -> None:
        self._by = by
        self._tenant_of = {topic: said.tenant for topic, said in names.request_topics.items()}
        self._of: dict[str, Sum] = defaultdict(Sum)
        self._seen: set[bytes] = set()

    def note(self, event_id: bytes | None, value: bytes | None) -> None:
        """One record of a response topic; what is none is passed over."""
        if event_id is None or event_id in self._seen:
            return
        try:
            answer = orjson.loads(value or b"")
            if not answer["attempts"] and (answer.get("cost") or {"amount": "0"})["amount"] == "0":
                return
            name = self._name(event_id, answer)
            known = name in self._of or len(self._of) < MOST_ROWS
            _add(self._of[name if known else REST], answer)
        except (ValueError, KeyError, TypeError, AttributeError):
            return
        self._seen.add(event_id)

    def _name(self, event_id: bytes, answer: Mapping[str, Any]) -> str:
        if self._by == "tenant":
            topic = event_id.decode(errors="replace").rsplit(":", 2)[0]
            return self._tenant_of.get(topic) or "-"
        return str(answer.get(_FIELD[self._by]) or "-")

    def rows(self) -> list[dict[str, Any]]:
        """The dearest first; of the same cost those with more tokens."""
        ordered = sorted(self._of.items(), key=lambda each: (*each[1].rank, each[0]))
        return [each.row(name) for name, each in ordered]


def _add(sum_: Sum, value: Mapping[str, Any]) -> None:
    """Another answer. Raises KeyError, TypeError, ValueError for what is none."""
    cost, usage = value.get("cost"), value["usage"]
    pico = None if cost is None else pico_of(cost["amount"])
    prompt, completion, calls = usage["prompt_tokens"], usage["completion_tokens"], value["attempts"]
    estimated = cost is not None and cost["estimated"]
    sum_.requests += 1
    sum_.calls += calls
    sum_.unknown += pico is None
    sum_.pico += pico or 0
    sum_.estimated += estimated
    sum_.prompt_tokens += prompt
    sum_.completion_tokens += completion


async def sum_answers(settings: Settings, by: By, since_ms: int) -> list[dict[str, Any]]:
    """Costs of the answers written since then, on the topics of callers and of fronts. Raises ProvisionError."""
    names = settings.topics.names
    sums = Sums(by, names)
    async with open_reader(settings.kafka.client_options()) as consumer:
        partitions = await partitions_of(consumer, [*names.all_responses, names.front_responses])
        consumer.assign(partitions)
        begin = await _since(consumer, partitions, since_ms)
        behind = await end_offsets(consumer, partitions)
        reading = [partition for partition in partitions if begin.get(partition, behind[partition]) < behind[partition]]
        consumer.assign(reading)
        wanted = {partition: begin[partition] for partition in reading}
        async for record in read_until(consumer, wanted, {partition: behind[partition] for partition in reading}):
            sums.note(dict(record.headers).get("ce_id"), record.value)
    return sums.rows()


async def _since(
    consumer: AIOKafkaConsumer, partitions: list[TopicPartition], since_ms: int
) -> dict[TopicPartition, int]:
    found = await consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
    return {partition: each.offset for partition, each in found.items() if each is not None}
