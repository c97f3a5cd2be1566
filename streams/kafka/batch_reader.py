"""Reading the record batches of one fetch of one partition, with bounds on what they may cost.

In place of aiokafka's PartitionRecords, which unpacks whatever a batch holds and drops what it has read when it comes to one that
it cannot read. Here

- a batch that holds more than a limit is not unpacked (unpack.py): it is set aside, a `SetAside` for each of its offsets;
- one that may be large is unpacked away from the event loop, and read with an eye on the number of headers;
- a batch that is corrupt ends the reading behind what is good before it: `CorruptBatchError`, or set aside where that is wanted;
- a header's name that is no UTF-8 is read by our own hand (tolerant.py).

What is kept of aiokafka's: checksums, aborted transactions, control batches (Kafka's message format:
https://kafka.apache.org/documentation/#messageformat).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final

from aiokafka.errors import KafkaError
from aiokafka.record.control_record import ABORT_MARKER, ControlRecord
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.legacy_records import LegacyRecordBatch

from streams.kafka.records import Record
from streams.kafka.set_aside import set_aside
from streams.kafka.tolerant import CarefulBatch, has_many_headers
from streams.kafka.unpack import BrokenError, TooLargeError, most_unpacked, unpack

_FRAME_BYTES: Final = 12
"""Of each batch: its first offset and its length, not counted in that."""
_MAGIC_AT: Final = 16
_HEADER_BYTES: Final = 61
_COUNT_AT: Final = 57
"""How many records there are: the one field of the header for which aiokafka's batch has no property."""
_ATTRIBUTES_AT: Final = 22
"""The lower byte."""
_CODEC, _TRANSACTIONAL, _CONTROL = 0x07, 0x10, 0x20
_NOT_PLAIN: Final = _CODEC | _TRANSACTIONAL | _CONTROL
_i32 = struct.Struct(">i").unpack_from
_i64 = struct.Struct(">q").unpack_from
_LEGACY_BYTES: Final = 26
"""The smallest message of the formats 0 and 1, its frame included."""

_HEAVY_BYTES: Final = 1_250_000
"""What may unpack to more is unpacked in a thread, and read by a slower reader that counts headers. A batch of 1 MiB as an honest
application wrote it is below."""
_LARGE_BATCH_BYTES: Final = 65_536
"""Above, unpacked, it is first looked for records with very many headers. What is smaller can hold 5 MB of them at most."""
_MOST_BYTES: Final = 4_000_000
"""A list ends behind so many bytes: what is not handed out yet stays packed."""


class CorruptBatchError(KafkaError):  # type: ignore[misc]
    """The next batch cannot be read, and has not been set aside."""


class HeavyBatchError(Exception):
    """The next batch is to be unpacked first: call `unpack`, in a thread."""


@dataclass(frozen=True, slots=True)
class ReadRules:
    """How batches are read."""

    most_unpacked_bytes: int
    check_crcs: bool = True
    read_committed: bool = True


class BatchReader:
    """The records of one fetch of one partition, from `offset` on.

    `end` is where the log ends, as far as the broker has said: no corrupt batch is believed to reach beyond it.
    `set_corrupt_aside`: what cannot be read is set aside instead of raising `CorruptBatchError`.
    """

    __slots__ = (
        "_aborted", "_aborted_producers", "_behind", "_data", "_end", "_next_at", "_open", "_packed", "_rules", "_slice",
        "_unpacked", "done", "next_fetch_offset", "set_corrupt_aside",
    )  # fmt: skip

    def __init__(
        self, data: bytes, aborted: Iterable[tuple[int, int]] | None, offset: int, end: int, rules: ReadRules
    ) -> None:
        self.next_fetch_offset = offset
        self.done = False
        """Nothing more is to be had of it."""
        self.set_corrupt_aside = False
        self._data = memoryview(data)
        self._next_at = 0
        self._end = end
        self._rules = rules
        self._aborted = sorted(aborted or (), key=lambda each: each[1])
        self._aborted_producers: set[int] = set()
        self._open: Iterator[Record] | None = None
        """What is left of the batch that is read."""
        self._behind = offset
        """The offset behind that batch."""
        self._packed: tuple[int, memoryview] | None = None
        """What is to be unpacked in a thread, and what came of it."""
        self._unpacked: bytes | memoryview | Exception | None = None
        self._slice = self._cut()

    def has_next(self) -> bool:
        """Whether there is a whole batch."""
        return self._slice is not None

    def read(self, most: int, most_bytes: int = _MOST_BYTES) -> list[Record]:
        """Up to `most` records, in order, and no further batch once they were of `most_bytes`; fewer when all is read.

        Raises `HeavyBatchError` and `CorruptBatchError`, only where there is nothing before it.
        """
        records: list[Record] = []
        size = 0
        while (batch := self._slice) is not None and len(records) < most:
            try:
                if self._open is None:
                    if size >= most_bytes:
                        break
                    if self._read_plain(batch, records, most):
                        size += len(batch)
                        continue
                    size += self._open_batch(batch)
                if self._open is not None and self._read_open(batch, records, most):
                    self._pass_by(self._behind)
            except (HeavyBatchError, CorruptBatchError):
                if records:
                    return records
                raise
        self.done = self._slice is None
        return records

    def unpack(self) -> None:
        """Unpack the batch for which `HeavyBatchError` was raised. For a thread, while nobody calls `read`."""
        assert self._packed is not None, "nothing is to be unpacked"
        try:
            self._unpacked = unpack(*self._packed, self._rules.most_unpacked_bytes)
        except (TooLargeError, BrokenError) as error:
            self._unpacked = error

    # ---- from batch to batch

    def _cut(self) -> memoryview | None:
        """The next whole batch."""
        at, data = self._next_at, self._data
        if len(data) - at < _FRAME_BYTES:
            return None
        (length,) = _i32(data, at + 8)
        end = at + _FRAME_BYTES + length
        if length < 0:
            end = len(data)  # no batch: it is found to be corrupt
        elif end > len(data):
            return None
        self._next_at = end
        return data[at:end]

    def _pass_by(self, next_offset: int) -> None:
        """The batch is read."""
        self.next_fetch_offset = max(self.next_fetch_offset, next_offset)
        self._open = self._packed = self._unpacked = None
        self._slice = self._cut()

    def _read_plain(self, batch: memoryview, records: list[Record], most: int) -> bool:
        """Read what most batches are: small, not compressed, of no transaction, and wanted as a whole. Such a one of one record
        costs 2 us, and the careful way 5. False: it is another one, or was found to be faulty, and nothing of it was read.
        """
        if not _HEADER_BYTES <= len(batch) <= _LARGE_BATCH_BYTES or batch[_MAGIC_AT] < 2:
            return False
        made = DefaultRecordBatch(batch)
        before = len(records)
        if (
            made.attributes & _NOT_PLAIN
            or made.base_offset < self.next_fetch_offset
            or _i32(batch, _COUNT_AT)[0] > most - before
            or (self._rules.check_crcs and not made.validate_crc())
        ):
            return False
        try:
            records.extend(made)
        except Exception:  # the careful way says what it is, and keeps what is before it
            del records[before:]
            return False
        self.next_fetch_offset = max(self.next_fetch_offset, made.next_offset)
        self._slice = self._cut()
        return True

    def _open_batch(self, batch: memoryview) -> int:
        """Make it ready to be read; its bytes, unpacked where they are known."""
        if len(batch) < _LEGACY_BYTES or (batch[_MAGIC_AT] >= 2 and len(batch) < _HEADER_BYTES):
            return self._give_up(batch, None, 0, "it is smaller than its header")
        if batch[_MAGIC_AT] < 2:
            return self._open_legacy(batch)
        made = DefaultRecordBatch(batch)
        base, attributes, last_delta = made.base_offset, made.attributes, made.last_offset_delta
        timestamp = made.max_timestamp
        if self._rules.check_crcs and not made.validate_crc():
            return self._give_up(batch, base + last_delta, timestamp, "its checksum is wrong")
        if attributes & (_CONTROL | _TRANSACTIONAL) and self._is_passed_by(made, base, attributes):
            self._pass_by(base + last_delta + 1)
            return 0
        if codec := attributes & _CODEC:
            try:
                unpacked = self._unpack_within_bounds(codec, batch[_HEADER_BYTES:])
            except TooLargeError:
                why = f"a batch of {len(batch)} bytes that unpacks to more than {self._rules.most_unpacked_bytes}"
                self._begin(
                    set_aside(max(base, self.next_fetch_offset), base + last_delta + 1, timestamp, "too_large", why),
                    base,
                    last_delta,
                )
                return 0
            except BrokenError as error:
                return self._give_up(batch, base + last_delta, timestamp, f"it does not unpack: {error}")
            if unpacked is not None:
                if len(unpacked) > _HEAVY_BYTES or has_many_headers(unpacked):
                    self._begin(CarefulBatch.of_unpacked(batch[:_HEADER_BYTES], unpacked), base, last_delta)
                else:
                    self._begin(DefaultRecordBatch(_plain(batch, unpacked)), base, last_delta)
                return len(unpacked)
        if len(batch) > _LARGE_BATCH_BYTES and not codec and has_many_headers(batch[_HEADER_BYTES:]):
            self._begin(CarefulBatch(batch), base, last_delta)
        else:
            self._begin(made, base, last_delta)
        return len(batch)

    def _unpack_within_bounds(self, codec: int, packed: memoryview) -> bytes | memoryview | None:
        """None where it is so small that it is unpacked while it is read. Raises as `unpack` does, and HeavyBatchError."""
        if self._unpacked is None:
            most = most_unpacked(codec, packed, _HEAVY_BYTES)
            if most <= _LARGE_BATCH_BYTES:
                return None
            if most <= _HEAVY_BYTES:
                return unpack(codec, packed, min(_HEAVY_BYTES, self._rules.most_unpacked_bytes))
            self._packed = codec, packed
            raise HeavyBatchError
        if isinstance(self._unpacked, Exception):
            raise self._unpacked
        return self._unpacked

    def _open_legacy(self, batch: memoryview) -> int:
        """A message, or several in one that is compressed; its offset is that of the last one."""
        magic, (last_offset,) = batch[_MAGIC_AT], _i64(batch)
        try:
            made = LegacyRecordBatch(batch, magic)
            if self._rules.check_crcs and not made.validate_crc():
                return self._give_up(batch, last_offset, 0, "its checksum is wrong")
            if codec := batch[_MAGIC_AT + 1] & _CODEC:
                at = 18 if magic == 0 else 26
                at += 4 + max(0, _i32(batch, at)[0]) + 4
                if most_unpacked(codec, batch[at:], self._rules.most_unpacked_bytes) > self._rules.most_unpacked_bytes:
                    unpack(codec, batch[at:], self._rules.most_unpacked_bytes)
        except TooLargeError:
            why = f"a batch of {len(batch)} bytes that unpacks to more than {self._rules.most_unpacked_bytes}"
            self._begin(set_aside(self.next_fetch_offset, last_offset + 1, 0, "too_large", why), last_offset, 0)
            return 0
        except Exception as error:  # aiokafka's reader raises SystemError where a size is negative
            return self._give_up(batch, last_offset, 0, f"it does not unpack: {error}")
        self._begin(made, self.next_fetch_offset - 1, last_offset - self.next_fetch_offset + 1)
        return len(batch)

    def _begin(self, records: Iterable[Record], base_offset: int, last_delta: int) -> None:
        """Read these next. What a compressed batch holds before the position was read before."""
        start = self.next_fetch_offset
        self._behind = base_offset + last_delta + 1
        # A batch of aiokafka's may be asked for its iterator only once: islice asks every time.
        self._open = chain(records) if base_offset >= start else (each for each in records if each.offset >= start)

    def _read_open(self, batch: memoryview, records: list[Record], most: int) -> bool:
        """Add to `records`, up to `most`; whether the batch is at its end."""
        assert self._open is not None
        before = len(records)
        try:
            records.extend(islice(self._open, most - before))  # those before a fault stay
        except UnicodeDecodeError:
            self._note_read(records, before)
            self._begin(CarefulBatch(batch), self.next_fetch_offset - 1, self._behind - self.next_fetch_offset)
            return False
        except Exception as error:  # of any codec, and of aiokafka's reader: it must cost this batch alone
            self._note_read(records, before)
            self._give_up(batch, self._behind - 1, 0, f"a record in it cannot be read: {error}")
            return False
        self._note_read(records, before)
        return len(records) < most

    def _note_read(self, records: list[Record], before: int) -> None:
        if len(records) > before:
            self.next_fetch_offset = getattr(records[-1], "last_offset", records[-1].offset) + 1

    # ---- what is not handed on

    def _is_passed_by(self, batch: DefaultRecordBatch, base_offset: int, attributes: int) -> bool:
        """Whether it is a marker, or was aborted."""
        if self._rules.read_committed:
            while self._aborted and self._aborted[0][1] <= base_offset:
                self._aborted_producers.add(self._aborted.pop(0)[0])
            if attributes & _CONTROL and _is_abort(batch):
                self._aborted_producers.discard(batch.producer_id)
            if attributes & _TRANSACTIONAL and batch.producer_id in self._aborted_producers:
                return True
        return bool(attributes & _CONTROL)

    def _give_up(self, batch: memoryview, last_offset: int | None, timestamp: int, why: str) -> int:
        """It is corrupt, from the position on. Its own word for where it ends is believed only where that can be: not beyond the
        batch that follows it, nor beyond the log.
        """
        start, end = self.next_fetch_offset, self._end
        if self._next_at + 8 <= len(self._data):
            (end,) = _i64(self._data, self._next_at)
        if last_offset is None or not start <= last_offset < end:
            last_offset = end - 1
        if not self.set_corrupt_aside or last_offset < start:
            self._open = None  # and is opened again by the next call
            raise CorruptBatchError(f"the batch at offset {start} is corrupt: {why} (offsets to {last_offset})")
        self._behind = last_offset + 1
        self._open = iter(set_aside(start, self._behind, max(0, timestamp), "unreadable", f"a corrupt batch: {why}"))
        return 0


def _plain(batch: memoryview, unpacked: bytes | memoryview) -> bytes:
    """The batch as if it had not been compressed; its checksum is that of before."""
    header = bytearray(batch[:_HEADER_BYTES])
    header[_ATTRIBUTES_AT] &= ~_CODEC
    return b"".join((header, unpacked))


def _is_abort(batch: DefaultRecordBatch) -> bool:
    return any(ControlRecord.parse(record.key) == ABORT_MARKER for record in islice(batch, 1))
