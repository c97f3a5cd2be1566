"""Record batches of format 2, as the bytes that travel (https://kafka.apache.org/documentation/#recordbatch)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from streams.kafka.records import Record

Headers = Sequence[tuple[str, bytes | None]]


class RecordBatch:
    """Records are kept once, as the bytes that travel: a burst has thousands of them under way, and the cost of a record grew by
    a third when each was kept as objects too.
    """

    __slots__ = ("_builder", "_written", "count")

    def __init__(self, most_bytes: int, *, compressed: bool = False) -> None:
        """Takes records up to `most_bytes`; the first one whatever its size."""
        codec = DefaultRecordBatch.CODEC_GZIP if compressed else DefaultRecordBatch.CODEC_NONE
        # Version 2, no transaction, no producer id and epoch, no sequence.
        self._builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, 0, most_bytes)
        self._written: bytes | None = None
        self.count = 0

    def append(self, key: bytes | None, value: bytes | None, headers: Headers) -> bool:
        """Whether there was room, and it was not written yet."""
        if self._written is not None:
            return False
        if self._builder.append(self.count, None, key=key, value=value, headers=headers) is None:
            return False
        self.count += 1
        return True

    @property
    def size(self) -> int:
        """Bytes."""
        size: int = self._builder.size() if self._written is None else len(self._written)
        return size

    def written(self) -> bytes:
        """What travels; nothing can be added any more."""
        if self._written is None:
            self._written = bytes(self._builder.build())
            del self._builder  # it holds them a second time
        return self._written

    def records(self) -> Iterator[Record]:
        """What is in it, read back; nothing can be added any more."""
        batch = MemoryRecords(self.written()).next_batch()
        assert batch is not None
        yield from batch
