"""Reading fetched bytes whose headers aiokafka cannot read.

A header's name should be UTF-8; the broker does not check, and clients in some languages send whatever bytes they are given.
aiokafka raises UnicodeDecodeError at such a record, and again at every fetch of it: one stranger's record would end the work
on its partition. Here such a name loses its non-ASCII bytes to `?`, and the record is read like any other.

Slower than aiokafka's own reader (which is in C), and used only for a fetch that it could not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy
from aiokafka.record.util import decode_varint

_MAGIC_AT = 16  # byte of a batch that holds its format; 2 is the only one that knows headers
_QUESTION_MARK = ord("?")


class TolerantRecords(_MemoryRecordsPy):  # type: ignore[misc]
    """The record batches of one fetch of one partition."""

    def next_batch(self) -> Any:
        batch_bytes = self._next_slice
        if batch_bytes is None or batch_bytes[_MAGIC_AT] < 2:
            return super().next_batch()
        self._cache_next()
        return _TolerantBatch(batch_bytes)


class _TolerantBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    def _read_msg(self) -> Any:
        try:
            return super()._read_msg()  # moves on only when it succeeds
        except UnicodeDecodeError:
            for start, stop in self._header_names():
                name = self._buffer[start:stop]
                try:
                    name.decode()
                except UnicodeDecodeError:
                    self._buffer[start:stop] = bytes(byte if byte < 128 else _QUESTION_MARK for byte in name)
            return super()._read_msg()

    def _header_names(self) -> Iterator[tuple[int, int]]:
        """Where the names of the next record's headers are in the buffer (Kafka's record format v2)."""
        buffer, at = self._buffer, self._pos
        for _ in ("length", "attributes", "timestamp delta", "offset delta"):
            _, at = decode_varint(buffer, at)
        for _ in ("key", "value"):
            size, at = decode_varint(buffer, at)
            at += max(0, size)
        count, at = decode_varint(buffer, at)
        for _ in range(count):
            size, at = decode_varint(buffer, at)
            yield at, at + size
            value_size, at = decode_varint(buffer, at + size)
            at += max(0, value_size)
