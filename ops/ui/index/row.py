"""One request as a row: 84 bytes of numbers, and its strings behind them. About 200 bytes of a usual request, 60 of them on disk.

A row's key is its place: class, partition and offset of the request's record in one number, so that an answer, which names the
record in `ce_id`, finds its row without a look anywhere else. An id that is a UUID, as most are, stands as its 16 bytes: digits
in hexadecimal cost twice as much, and no packing gets that back in full.
"""

from __future__ import annotations

import re
from struct import Struct
from typing import Final, NamedTuple

from topics.names import PRIORITIES, Priority

VERSION: Final = 3
"""Of what is on disk; an index of another version is made anew."""

MOST_PARTITIONS: Final = 1 << 14
MOST_OFFSET: Final = 1 << 40
MOST_TENANTS: Final = 255
_CLASS_BITS: Final = 62
_TENANT_BITS: Final = 54
PARTITION_BITS: Final = 40

_STRINGS: Final = 8
_HEAD: Final = Struct(">QBBBBBBHQIIIIIIIHQHQ" + "H" * _STRINGS)
_MOST_STRING_BYTES: Final = 1024
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII).fullmatch
_ASKED, _IS_UUID = 1, 2
"""Bits of the byte of flags."""
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
    """Empty: where answers to its tenant go."""
    tenant: str = ""
    trace: bytes = b""
    """The header of its answer, or of its dead letter, as it came; empty: none."""

    @property
    def priority(self) -> Priority:
        return PRIORITIES[self.place >> _CLASS_BITS]

    @property
    def queue(self) -> str:
        """The end of its topic's name: its class, with a tenant's name before it."""
        return f"{self.tenant}.{self.priority}" if self.tenant else self.priority

    @property
    def partition(self) -> int:
        return self.place >> PARTITION_BITS & MOST_PARTITIONS - 1

    @property
    def offset(self) -> int:
        return self.place & MOST_OFFSET - 1


def place_of(priority_number: int, partition: int, offset: int, tenant_number: int = 0) -> int:
    """The place of a record; `priority_number` counts in topics.names.PRIORITIES. ValueError for one that does not fit.

    >>> hex(place_of(1, 3, 255))
    '0x40000300000000ff'
    """
    if not (
        0 <= priority_number < 3
        and 0 <= partition < MOST_PARTITIONS
        and 0 <= offset < MOST_OFFSET
        and 0 <= tenant_number <= MOST_TENANTS
    ):
        raise ValueError(f"no place: {tenant_number}:{priority_number}:{partition}:{offset}")
    return priority_number << _CLASS_BITS | tenant_number << _TENANT_BITS | partition << PARTITION_BITS | offset


def tenant_number_of(place: int) -> int:
    """0: a request of no tenant."""
    return place >> _TENANT_BITS & MOST_TENANTS


def tenant_ranges(tenant_number: int) -> list[tuple[int, int]]:
    """The first place of a tenant's requests and the first behind them, by class."""
    first = [place_of(number, 0, 0, tenant_number) for number in range(len(PRIORITIES))]
    return [(each, each + (1 << _TENANT_BITS)) for each in first]


def encode_row(row: Row) -> bytes:
    """A row's value; its place is its key. Numbers beyond 32 bits become the largest, strings are cut at 1 KiB."""
    is_uuid = _UUID(row.request_id) is not None
    strings = [
        bytes.fromhex(row.request_id.replace("-", "")) if is_uuid else _string(row.request_id),
        _string(row.agent_id),
        _string(row.model),
        _string(row.provider),
        _string(row.called_model),
        _string(row.answer_topic),
        _string(row.tenant),
        row.trace[:_MOST_STRING_BYTES],
    ]
    flags = (_ASKED if row.asked else 0) | (_IS_UUID if is_uuid else 0)
    lengths = map(len, strings)
    numbers = (
        row.request_bytes, row.queue_100us, row.provider_100us, row.total_100us, row.input_tokens, row.output_tokens,
        row.answer_bytes,
    )  # fmt: skip
    if max(numbers) > _MOST_U32:
        numbers = tuple(min(each, _MOST_U32) for each in numbers)  # type: ignore[assignment]
    head = _HEAD.pack(
        row.time_ms, flags, row.status, row.error, row.reason, row.stage, row.cache, min(row.attempts, 0xFFFF), row.answered_ms,
        *numbers, row.answer_partition, row.answer_next, row.dead_partition, row.dead_next, *lengths,
    )  # fmt: skip
    return head + b"".join(strings)


def _string(text: str) -> bytes:
    return text.encode("utf-8", "replace")[:_MOST_STRING_BYTES] if text else b""


def _uuid(raw: bytes) -> str:
    digits = raw.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def decode_row(place: int, value: bytes) -> Row:
    """The row again. Raises struct.error for what is too short."""
    (
        time_ms, flags, status, error, reason, stage, cache, attempts, answered_ms, request_bytes,
        queue_100us, provider_100us, total_100us, input_tokens, output_tokens, answer_bytes,
        answer_partition, answer_next, dead_partition, dead_next, *lengths,
    ) = _HEAD.unpack_from(value)  # fmt: skip
    at, strings = _HEAD.size, []
    if flags & _IS_UUID:
        strings.append(_uuid(value[at : at + lengths[0]]))
        at += lengths.pop(0)
    for length in lengths[:-1]:
        strings.append(value[at : at + length].decode("utf-8", "replace") if length else "")
        at += length
    request_id, agent_id, model, provider, called_model, answer_topic, tenant = strings
    return Row(
        place, time_ms, request_id, agent_id, model, request_bytes, bool(flags & _ASKED), status, error, reason, stage, cache,
        attempts, answered_ms, queue_100us, provider_100us, total_100us, input_tokens, output_tokens, answer_bytes,
        answer_partition, answer_next, dead_partition, dead_next, provider, called_model, answer_topic, tenant,
        value[at : at + lengths[-1]],
    )  # fmt: skip
