"""Reading batches that aiokafka cannot read, or not cheaply.

A header's name should be UTF-8; the broker does not check, and clients in some languages send whatever bytes they are given.
aiokafka raises UnicodeDecodeError at such a record, and again at every fetch of it: one stranger's record would end the work
on its partition. Here such a name loses its non-ASCII bytes to `?`, and the record is read like any other.

And a record of 1 MiB can have half a million empty headers, 75 MB of objects: those of a record with more than 1,000 are not
made, and the record is set aside. Whether a batch has such a one is looked for before it is read (`has_many_headers`).

Slower than aiokafka's own reader (which is in C: 1 us a record, here 10), and used only for such batches, for very large ones and
for those that it could not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Self

from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.util import decode_varint_py as decode_varint  # the one in C looks at no bounds

from streams.transport.set_aside import SetAside

_QUESTION_MARK = ord("?")
MOST_HEADERS: Final = 1_000
_SHORTEST_BYTES: Final = 2 * MOST_HEADERS
"""So many headers without names and values."""


class CarefulBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    """A record batch of format 2."""

    _pos: int

    @classmethod
    def of_unpacked(cls, header: memoryview, records: bytes | memoryview) -> Self:
        """A batch that was compressed and is unpacked."""
        batch = cls(header)
        batch._buffer, batch._pos, batch._decompressed = bytearray(records), 0, True
        return batch

    def _read_msg(self) -> Any:
        start, length, offset_delta, headers_at, headers = _look_at(self._buffer, self._pos)
        if headers > MOST_HEADERS:
            self._pos = start + length
            offset = self.base_offset + offset_delta
            why = f"a record with {headers} headers, the most is {MOST_HEADERS}"
            return SetAside(offset, self.max_timestamp, "too_large", why, offset)
        try:
            return super()._read_msg(decode_varint)  # moves on only when it succeeds
        except UnicodeDecodeError:
            for name_start, stop in self._header_names(headers_at, headers):
                name = self._buffer[name_start:stop]
                try:
                    name.decode()
                except UnicodeDecodeError:
                    self._buffer[name_start:stop] = bytes(byte if byte < 128 else _QUESTION_MARK for byte in name)
            return super()._read_msg(decode_varint)

    def _header_names(self, at: int, count: int) -> Iterator[tuple[int, int]]:
        """Where the names of the next record's headers are in the buffer."""
        buffer = self._buffer
        for _ in range(count):
            size, at = decode_varint(buffer, at)
            yield at, at + size
            value_size, at = decode_varint(buffer, at + size)
            at += max(0, value_size)


def has_many_headers(records: bytes | memoryview) -> bool:
    """Whether a record of these has more than `MOST_HEADERS` headers, or this cannot be told. Costs 0.5 us a record that is
    shorter than so many headers are, and 4 us a longer one.
    """
    at, end = 0, len(records)
    try:
        while at < end:
            length, start = decode_varint(records, at)
            if (
                length < 0
                or start + length > end
                or (length > _SHORTEST_BYTES and _look_at(records, at)[4] > MOST_HEADERS)
            ):
                return True
            at = start + length
    except (IndexError, ValueError):
        return True
    return False


def _look_at(buffer: Any, at: int) -> tuple[int, int, int, int, int]:
    """Of the record at that place: where it begins, its length, its offset's distance, where its headers begin, how many there
    are. Kafka's record format v2.
    """
    length, start = decode_varint(buffer, at)
    _, at = decode_varint(buffer, start)  # attributes
    _, at = decode_varint(buffer, at)  # timestamp
    offset_delta, at = decode_varint(buffer, at)
    for _ in ("key", "value"):
        size, at = decode_varint(buffer, at)
        at += max(0, size)
    count, at = decode_varint(buffer, at)
    return start, length, offset_delta, at, count
