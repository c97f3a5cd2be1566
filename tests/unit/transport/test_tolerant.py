"""Record batches whose header names are not UTF-8, made by the aiokafka writer and then broken byte by byte."""

from __future__ import annotations

import struct
from typing import Any, Final

import pytest
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c, encode_varint
from hypothesis import given
from hypothesis import strategies as st

from streams.transport.batch_reader import BatchReader, CorruptBatchError, HeavyBatchError, ReadRules
from streams.transport.set_aside import SetAside
from streams.transport.tolerant import MOST_HEADERS, CarefulBatch, has_many_headers

MARK = "MARKED"
CRC_AT: Final = 17
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
    changed = bytearray(raw[:at] + name + raw[at + len(MARK) :])
    struct.pack_into(">I", changed, CRC_AT, calc_crc32c(bytes(changed[CRC_AT + 4 :])))
    return bytes(changed)


Read = list[tuple[int, bytes | None, list[tuple[str, bytes | None]]]]


def seen(records: Any) -> Read:
    return [(record.offset, record.value, list(record.headers)) for record in records]


def read_by_aiokafka(raw: bytes) -> Read:
    return seen(MemoryRecords(raw).next_batch())


def read(raw: bytes) -> Read:
    return seen(BatchReader(raw, None, 0, 10**6, ReadRules(2**24)).read(10**6))


def records_of(raw: bytes) -> list[Any]:
    reader = BatchReader(raw, None, 0, 10**6, ReadRules(2**24))
    try:
        return list(reader.read(10**6))
    except HeavyBatchError:
        reader.unpack()
        return list(reader.read(10**6))


def test_a_name_that_is_no_utf8_stops_aiokafka_and_not_us() -> None:
    raw = broken(batch([[("a", b"1")], [("b", None), (MARK, b"2")], [("c", b"3")]]), 1, b"\xff\xfename")
    with pytest.raises(UnicodeDecodeError):
        read_by_aiokafka(raw)
    assert read(raw) == [
        (0, b"value MARKED 0", [("a", b"1")]),
        (1, b"value MARKED 1", [("b", None), ("??name", b"2")]),
        (2, b"value MARKED 2", [("c", b"3")]),
    ]


@given(st.lists(st.lists(st.tuples(st.text(max_size=9), st.none() | st.binary(max_size=9)), max_size=4), min_size=1))
def test_what_aiokafka_can_read_is_read_the_same(headers_of_records: list[Headers]) -> None:
    raw = batch(headers_of_records)
    assert seen(CarefulBatch(raw)) == read_by_aiokafka(raw)


def test_compressed_batches_are_read_too() -> None:
    raw = batch([[("a", b"1" * 100)]] * 50, codec=1)
    assert b"1" * 100 not in raw
    assert seen(CarefulBatch(raw)) == read_by_aiokafka(raw)


@given(st.binary(min_size=len(MARK), max_size=len(MARK)))
def test_any_bytes_in_a_name_leave_a_readable_record(name: bytes) -> None:
    ((offset, value, headers),) = read(broken(batch([[(MARK, b"2")]]), 0, name))
    assert (offset, value, headers[0][1]) == (0, b"value MARKED 0", b"2")


def test_a_record_with_more_headers_than_any_client_needs_is_set_aside_and_the_next_is_read() -> None:
    many: Headers = [("", None)] * (MOST_HEADERS + 1)
    first, bomb, last = CarefulBatch(batch([many[1:], many, [("a", b"1")]]))
    assert (first.offset, len(first.headers)) == (0, MOST_HEADERS)
    assert isinstance(bomb, SetAside)
    assert (bomb.offset, bomb.last_offset, bomb.headers) == (1, 1, ())
    assert (last.offset, last.headers) == (2, [("a", b"1")])


def test_a_large_batch_of_few_records_is_read_with_an_eye_on_its_headers() -> None:
    raw = batch([[("", None)] * 100_000])
    (bomb,) = BatchReader(raw, None, 0, 10**6, ReadRules(2**24)).read(10)
    assert isinstance(bomb, SetAside)


@pytest.mark.parametrize("codec", [0, 1, 2, 3, 4], ids=["plain", "gzip", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize("count", [MOST_HEADERS + 1, 100_000])
def test_a_record_with_very_many_headers_among_many_small_ones_is_set_aside_alone(codec: int, count: int) -> None:
    """On average such records are small: an eye on the mean does not see it."""
    small: list[Headers] = [[("a", b"%d" % n)] for n in range(3_000)]
    raw = batch([*small[:1_500], [("", None)] * count, *small[1_500:]], codec)
    assert len(batch(small)) > 60_000
    records = records_of(raw)
    assert [record.offset for record in records] == list(range(3_001))
    assert [type(record) is SetAside for record in records].index(True) == 1_500
    assert sum(type(record) is SetAside for record in records) == 1
    assert records[1_501].headers == [("a", b"1500")]


@pytest.mark.parametrize("codec", [0, 1, 2, 3, 4], ids=["plain", "gzip", "snappy", "lz4", "zstd"])
def test_one_header_of_megabytes_is_a_record_like_any_other(codec: int) -> None:
    """A header is as large as a batch may be; what it costs is its bytes."""
    raw = batch([[], [("large", b"x" * 1_000_000)], []], codec)
    records = records_of(raw)
    assert [len(record.headers) for record in records] == [0, 1, 0]


def test_cut_off_records_are_left_to_the_careful_reader() -> None:
    raw = batch([[("a", b"1")]] * 3)[61:]
    assert not has_many_headers(raw)
    assert has_many_headers(b"\x80")
    assert has_many_headers(raw[:-1])
    assert has_many_headers(b"\x01" + raw)  # a negative length


@pytest.mark.parametrize("place", ["key", "header"])
def test_a_forged_size_within_a_record_ends_its_batch_and_not_the_process(place: str) -> None:
    """The varint reader of aiokafka's C library looks at no bounds, so that a size of 2 GB reads memory that is not there."""
    size = bytearray()
    encode_varint(2**31 - 1, size.append)
    body = b"\x00\x00\x00" + (bytes(size) if place == "key" else b"\x01\x01\x02" + bytes(size))
    head = bytearray()
    encode_varint(len(body), head.append)
    raw = bytearray(batch([[]])[:61]) + head + body
    struct.pack_into(">i", raw, 8, len(raw) - 12)
    struct.pack_into(">I", raw, CRC_AT, calc_crc32c(bytes(raw[CRC_AT + 4 :])))
    with pytest.raises((IndexError, CorruptRecordException)):
        next(iter(CarefulBatch(bytes(raw))))
    with pytest.raises(CorruptBatchError):
        BatchReader(bytes(raw), None, 0, 10**6, ReadRules(2**24)).read(10)
