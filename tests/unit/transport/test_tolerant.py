"""Record batches whose header names are not UTF-8, made by the aiokafka writer and then broken byte by byte."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from streams.transport.tolerant import TolerantRecords

MARK = "MARKED"
Headers = list[tuple[str, bytes | None]]


def batch(headers_of_records: list[Headers], codec: int = 0) -> bytes:
    builder = _DefaultRecordBatchBuilderPy(
        2, codec, is_transactional=False, producer_id=-1, producer_epoch=-1, base_sequence=-1, batch_size=1 << 20
    )
    for offset, headers in enumerate(headers_of_records):
        assert builder.append(offset, 1000, b"key", b"value %s %d" % (MARK.encode(), offset), headers)
    return bytes(builder.build())


def broken(raw: bytes, record: int, name: bytes) -> bytes:
    """Put `name` where the marked header name of a record is: behind the marked value of the same record."""
    assert len(name) == len(MARK)
    value_at = raw.index(b"value %s %d" % (MARK.encode(), record))
    at = raw.index(MARK.encode(), value_at + len(b"value " + MARK.encode()))
    return raw[:at] + name + raw[at + len(MARK) :]


def read(raw: bytes, reader: type[Any]) -> list[tuple[int, bytes | None, list[tuple[str, bytes | None]]]]:
    records, found = reader(raw), []
    while records.has_next():
        found += [(record.offset, record.value, list(record.headers)) for record in records.next_batch()]
    return found


def test_a_name_that_is_no_utf8_stops_aiokafka_and_not_us() -> None:
    raw = broken(batch([[("a", b"1")], [("b", None), (MARK, b"2")], [("c", b"3")]]), 1, b"\xff\xfename")
    with pytest.raises(UnicodeDecodeError):
        read(raw, MemoryRecords)
    assert read(raw, TolerantRecords) == [
        (0, b"value MARKED 0", [("a", b"1")]),
        (1, b"value MARKED 1", [("b", None), ("??name", b"2")]),
        (2, b"value MARKED 2", [("c", b"3")]),
    ]


@given(st.lists(st.lists(st.tuples(st.text(max_size=9), st.none() | st.binary(max_size=9)), max_size=4), min_size=1))
def test_what_aiokafka_can_read_is_read_the_same(headers_of_records: list[Headers]) -> None:
    raw = batch(headers_of_records)
    assert read(raw, TolerantRecords) == read(raw, MemoryRecords)


def test_compressed_batches_are_read_too() -> None:
    raw = batch([[("a", b"1" * 100)]] * 50, codec=1)
    assert b"1" * 100 not in raw
    assert read(raw, TolerantRecords) == read(raw, MemoryRecords)


@given(st.binary(min_size=len(MARK), max_size=len(MARK)))
def test_any_bytes_in_a_name_leave_a_readable_record(name: bytes) -> None:
    ((offset, value, headers),) = read(broken(batch([[(MARK, b"2")]]), 0, name), TolerantRecords)
    assert (offset, value, headers[0][1]) == (0, b"value MARKED 0", b"2")
