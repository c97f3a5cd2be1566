"""One request as a row: 84 bytes of numbers, and its strings behind them. About 150 bytes of a usual request.

A row's key is its place: class, partition and offset of the request's record in one number, so that an answer, which names the
record in `ce_id`, finds its row without a look anywhere else.
"""

from __future__ import annotations

import re
from struct import Struct
from typing import Final, NamedTuple

from topics.names import PRIORITIES, Priority

VERSION: Final = 1
"""Of what is on disk; an index of another version is made anew."""

MOST_PARTITIONS: Final = 1 << 14
MOST_OFFSET: Final = 1 << 48
_CLASS_BITS: Final = 62
_PARTITION_BITS: Final = 48
_PLACE: Final = re.compile(r"([^:\s]{1,249}):([0-9]{1,5}):([0-9]{1,15})", re.ASCII).fullmatch

_STRINGS: Final = 6
_HEAD: Final = Struct(">QBBBBBBHQIIIIIIIHQHQ" + "H" * _STRINGS)
_MOST_STRING_BYTES: Final = 1024
_MOST_U32: Final = 2**32 - 1


class Row(NamedTuple):
    """What is known of one request. Codes are those of `codes`; times are Unix milliseconds, 0: not known.

    A named tuple, because a frozen dataclass of so many fields costs six times as much to make.
    """

    place: int
    time_ms: int
    """The broker's time of the request's record; before that was read, as its answer or dead letter tells it."""
    request_id: str
    """Empty: it has none of its own, and is known by its place."""
    agent_id: str
    model: str
    """As it was asked for."""
    request_bytes: int = 0
    asked: bool = False
    """Whether the request itself was read."""
    status: int = 0
    error: int = 0
    reason: int = 0
    """Of its dead letter."""
    stage: int = 0
    """The stage that gave up a dead letter."""
    cache: int = 0
    attempts: int = 0
    answered_ms: int = 0
    queue_100us: int = 0
    """Durations of the answer, in tenths of a millisecond."""
    provider_100us: int = 0
    total_100us: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    answer_bytes: int = 0
    answer_partition: int = 0
    answer_next: int = 0
    """The answer's offset and one; 0: there is none."""
    dead_partition: int = 0
    dead_next: int = 0
    """The dead letter's offset and one; 0: there is none."""
    provider: str = ""
    called_model: str = ""
    answer_topic: str = ""
    """Empty: agent.responses."""

    @property
    def priority(self) -> Priority:
        return PRIORITIES[self.place >> _CLASS_BITS]

    @property
    def partition(self) -> int:
        return self.place >> _PARTITION_BITS & MOST_PARTITIONS - 1

    @property
    def offset(self) -> int:
        return self.place & MOST_OFFSET - 1


def place_of(priority_number: int, partition: int, offset: int) -> int:
    """The place of a record; `priority_number` counts in topics.names.PRIORITIES. ValueError for one that does not fit.

    >>> hex(place_of(1, 3, 255))
    '0x40030000000000ff'
    """
    if not (0 <= priority_number < 3 and 0 <= partition < MOST_PARTITIONS and 0 <= offset < MOST_OFFSET):
        raise ValueError(f"no place: {priority_number}:{partition}:{offset}")
    return priority_number << _CLASS_BITS | partition << _PARTITION_BITS | offset


def read_place(text: str, requests: tuple[str, ...]) -> int | None:
    """The place that `topic:partition:offset` names; None where it names no record of a request topic.

    >>> read_place("agent.requests.high:0:7", ("agent.requests.high",)), read_place("other:0:7", ("agent.requests.high",))
    (7, None)
    """
    found = _PLACE(text)
    if found is None or found[1] not in requests:
        return None
    try:
        return place_of(requests.index(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        return None


def encode_row(row: Row) -> bytes:
    """A row's value; its place is its key. Numbers beyond 32 bits become the largest, strings are cut at 1 KiB."""
    strings = [
        text.encode("utf-8", "replace")[:_MOST_STRING_BYTES]
        for text in (row.request_id, row.agent_id, row.model, row.provider, row.called_model, row.answer_topic)
    ]
    return b"".join(
        (
            _HEAD.pack(
                row.time_ms,
                row.asked,
                row.status,
                row.error,
                row.reason,
                row.stage,
                row.cache,
                min(row.attempts, 0xFFFF),
                row.answered_ms,
                min(row.request_bytes, _MOST_U32),
                min(row.queue_100us, _MOST_U32),
                min(row.provider_100us, _MOST_U32),
                min(row.total_100us, _MOST_U32),
                min(row.input_tokens, _MOST_U32),
                min(row.output_tokens, _MOST_U32),
                min(row.answer_bytes, _MOST_U32),
                row.answer_partition,
                row.answer_next,
                row.dead_partition,
                row.dead_next,
                *map(len, strings),
            ),
            *strings,
        )
    )


def decode_row(place: int, value: bytes) -> Row:
    """The row again. Raises struct.error for what is too short."""
    (
        time_ms, asked, status, error, reason, stage, cache, attempts, answered_ms, request_bytes,
        queue_100us, provider_100us, total_100us, input_tokens, output_tokens, answer_bytes,
        answer_partition, answer_next, dead_partition, dead_next, *lengths,
    ) = _HEAD.unpack_from(value)  # fmt: skip
    at, strings = _HEAD.size, []
    for length in lengths:
        strings.append(value[at : at + length].decode("utf-8", "replace") if length else "")
        at += length
    request_id, agent_id, model, provider, called_model, answer_topic = strings
    return Row(
        place, time_ms, request_id, agent_id, model, request_bytes, bool(asked), status, error, reason, stage, cache, attempts,
        answered_ms, queue_100us, provider_100us, total_100us, input_tokens, output_tokens, answer_bytes,
        answer_partition, answer_next, dead_partition, dead_next, provider, called_model, answer_topic,
    )  # fmt: skip
