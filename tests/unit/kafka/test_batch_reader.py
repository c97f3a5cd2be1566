"""Batches of one fetch: read as aiokafka reads them where they are good, and within bounds where they are not."""

from __future__ import annotations

import gzip
import struct
from typing import Any, Final

import pytest
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from hypothesis import example, given
from hypothesis import strategies as st

from streams.kafka.batch_reader import BatchReader, CorruptBatchError, HeavyBatchError, ReadRules
from streams.kafka.set_aside import SetAside

MIB: Final = 2**20
CRC_AT: Final = 17
ATTRIBUTES_AT: Final = 21
LAST_DELTA_AT: Final = 23
RULES = ReadRules(most_unpacked_bytes=16 * MIB)
GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
CODECS = [0, GZIP, SNAPPY, LZ4, ZSTD]


def batch(
    base: int, values: list[bytes], codec: int = 0, producer: int = -1, transactional: bool = False, control: int = 0
) -> bytes:
    builder = DefaultRecordBatchBuilder(2, codec, transactional, producer, 0, 0, 64 * MIB)
    for delta, value in enumerate(values):
        key = struct.pack(">HH", 0, control - 1) if control else b"key"
        assert builder.append(delta, 1000 + delta, key, value, [("h", b"1")]) is not None
    raw = bytearray(builder.build())
    struct.pack_into(">q", raw, 0, base)
    if control:
        raw[ATTRIBUTES_AT + 1] |= 0x20
    return resummed(raw)


def resummed(raw: bytearray) -> bytes:
    struct.pack_into(">I", raw, CRC_AT, calc_crc32c(bytes(raw[CRC_AT + 4 :])))
    return bytes(raw)


def with_wrong_sum(raw: bytes) -> bytes:
    """As a disk or a broker that has flipped a bit gives it (aio-libs/aiokafka#321)."""
    changed = bytearray(raw)
    changed[-1] ^= 1
    return bytes(changed)


def bomb(base: int, unpacked_bytes: int, records: int = 1) -> bytes:
    """A batch that says to have so many records, and holds so many zero bytes. The sum is right: the broker looks no further."""
    raw = bytearray(batch(base, [b""] * records)[:61]) + gzip.compress(bytes(unpacked_bytes), 9)
    struct.pack_into(">i", raw, 8, len(raw) - 12)
    raw[ATTRIBUTES_AT + 1] |= GZIP
    return resummed(raw)


def read_all(reader: BatchReader, most: int = 1000) -> list[Any]:
    found: list[Any] = []
    while not reader.done:
        try:
            found += reader.read(most)
        except HeavyBatchError:
            reader.unpack()
    return found


def of(data: bytes, offset: int = 0, end: int = 10**9, rules: ReadRules = RULES, aborted: Any = None) -> BatchReader:
    return BatchReader(data, aborted, offset, end, rules)


@st.composite
def logs(draw: st.DrawFn) -> tuple[bytes, list[tuple[int, int]], int]:
    """A log with transactions, its aborted ones, and an offset to begin at, in its first batch."""
    data, base, aborted = b"", 0, []
    begin = 0
    open_since: dict[int, int] = {}
    for _ in range(draw(st.integers(1, 8))):
        base += draw(st.integers(0, 3))
        producer = draw(st.integers(1, 3))
        kind = draw(st.sampled_from(["plain", "transactional", "commit", "abort"]))
        if kind in ("commit", "abort"):
            if kind == "abort" and producer in open_since:
                aborted.append((producer, open_since[producer]))
            open_since.pop(producer, None)
            data += batch(
                base, [b"marker"], producer=producer, transactional=True, control=2 if kind == "commit" else 1
            )
            base += 1
        else:
            values = draw(st.lists(st.binary(max_size=20), min_size=1, max_size=5))
            if kind == "transactional":
                open_since.setdefault(producer, base)
            codec = draw(st.sampled_from(CODECS))
            data += batch(base, values, codec, producer, kind == "transactional")
            base += len(values)
        begin = begin or base
    cut = draw(st.integers(0, 30))
    return data[: len(data) - cut], aborted, draw(st.integers(0, begin - 1))


@given(log=logs(), most=st.integers(1, 7), committed=st.booleans())
def test_good_batches_are_read_as_aiokafka_reads_them(
    log: tuple[bytes, list[tuple[int, int]], int], most: int, committed: bool
) -> None:
    data, aborted, offset = log
    level = READ_COMMITTED if committed else READ_UNCOMMITTED
    model = PartitionRecords(("t", 0), MemoryRecords(data), list(aborted), offset, None, None, True, level)
    model._consumer_record = lambda _, record: record
    wanted = [(each.offset, each.timestamp, each.key, each.value) for each in model]
    reader = of(data, offset, rules=ReadRules(16 * MIB, read_committed=committed), aborted=aborted)
    found = [(each.offset, each.timestamp, each.key, each.value) for each in read_all(reader, most)]
    assert found == wanted
    assert reader.next_fetch_offset == model.next_fetch_offset


@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_that_may_be_large_is_unpacked_apart_and_read_the_same(codec: int) -> None:
    values = [b"%07d" % n * 1000 for n in range(400)]
    data = batch(0, [b"before"]) + batch(1, values, codec) + batch(401, [b"behind"])
    reader = of(data)
    assert [each.value for each in reader.read(1)] == [b"before"]
    if codec:
        with pytest.raises(HeavyBatchError):
            reader.read(10)
    assert [each.value for each in read_all(reader, 37)] == [*values, b"behind"]
    assert reader.next_fetch_offset == 402


@pytest.mark.parametrize(
    "unpacked_bytes", [pytest.param(16 * MIB + 1, id="a byte too many"), pytest.param(400 * MIB, id="400 MB")]
)
def test_a_bomb_is_set_aside_by_its_offsets_and_what_is_around_it_is_read(unpacked_bytes: int) -> None:
    data = batch(5, [b"before"]) + bomb(6, unpacked_bytes, records=3) + batch(9, [b"behind"])
    before, *asides, behind = read_all(of(data, 5))
    assert (before.value, behind.value) == (b"before", b"behind")
    assert [(each.offset, each.last_offset, each.kind) for each in asides] == [(n, n, "too_large") for n in (6, 7, 8)]


def test_a_bomb_that_says_to_have_millions_of_records_is_one_that_stands_for_all() -> None:
    raw = bytearray(bomb(6, 17 * MIB))
    struct.pack_into(">i", raw, LAST_DELTA_AT, 4_999_999)
    reader = of(resummed(raw) + batch(5_000_006, [b"behind"]), 6)
    aside, behind = read_all(reader)
    assert (aside.offset, aside.last_offset) == (6, 5_000_005)
    assert behind.offset == 5_000_006


def test_a_bomb_inside_which_the_position_is_is_set_aside_from_there_on() -> None:
    assert [each.offset for each in read_all(of(bomb(6, 17 * MIB, records=4), 8))] == [8, 9]


def test_a_list_ends_where_it_weighs_enough() -> None:
    data = b"".join(batch(n, [bytes(100_000)]) for n in range(10))
    reader = of(data)
    assert [each.offset for each in reader.read(500, most_bytes=250_000)] == [0, 1, 2]
    assert [each.offset for each in reader.read(500)] == [3, 4, 5, 6, 7, 8, 9]


CORRUPT = [
    pytest.param(with_wrong_sum(batch(2, [b"x", b"y"])), id="wrong checksum (aio-libs/aiokafka#321)"),
    pytest.param(
        resummed(bytearray(batch(2, [b"x" * 99, b"y"], GZIP)[:-20] + bytes(20))), id="cut gzip (confluentinc/librdkafka#54)"
    ),
    pytest.param(
        resummed(bytearray(batch(2, [b"x" * 200, b"y"], ZSTD)[:61] + b"junk" * 10)), id="no zstd (confluentinc/librdkafka#2951)"
    ),
    pytest.param(
        resummed(bytearray(batch(2, [b"x", b"y"])[:61] + b"\xff" * 26)), id="records without sense (thomhurst/Dekaf#2065)"
    ),
]  # fmt: skip


def framed(raw: bytes) -> bytes:
    """With the length that its frame says."""
    return raw[:8] + struct.pack(">i", len(raw) - 12) + raw[12:]


@pytest.mark.parametrize("corrupt", CORRUPT)
def test_what_is_before_a_corrupt_batch_is_handed_out_and_then_it_is_said(corrupt: bytes) -> None:
    reader = of(batch(0, [b"a", b"b"]) + framed(corrupt) + batch(4, [b"behind"]))
    assert [each.value for each in reader.read(10)] == [b"a", b"b"]
    for _ in range(2):
        with pytest.raises(CorruptBatchError, match="offset 2 is corrupt"):
            reader.read(10)
    assert reader.next_fetch_offset == 2


@pytest.mark.parametrize("corrupt", CORRUPT)
def test_where_it_is_wanted_a_corrupt_batch_is_set_aside_by_offset_and_reading_goes_on(corrupt: bytes) -> None:
    reader = of(batch(0, [b"a", b"b"]) + framed(corrupt) + batch(4, [b"behind"]))
    reader.set_corrupt_aside = True
    found = read_all(reader)
    assert [(each.offset, getattr(each, "kind", None)) for each in found] == [
        (0, None), (1, None), (2, "unreadable"), (3, "unreadable"), (4, None),
    ]  # fmt: skip


@pytest.mark.parametrize(("lie", "end"), [(-5, 3), (2**31 - 1, 3), (7, 3)])
def test_a_corrupt_header_is_not_believed_beyond_the_log(lie: int, end: int) -> None:
    raw = bytearray(batch(2, [b"x"]))
    struct.pack_into(">i", raw, LAST_DELTA_AT, lie)  # the sum is wrong now
    reader = of(bytes(raw), 2, end)
    reader.set_corrupt_aside = True
    assert [each.offset for each in read_all(reader)] == [2]
    assert reader.next_fetch_offset == 3


def test_a_record_that_cannot_be_read_leaves_those_before_it() -> None:
    raw = bytearray(batch(0, [b"first", b"second", b"third"]))
    at = bytes(raw).index(b"second") - 1
    raw[at] = 0x7F  # a value that ends behind its batch
    reader = of(resummed(raw))
    assert [each.value for each in reader.read(10)] == [b"first"]
    with pytest.raises(CorruptBatchError, match="offset 1 is corrupt"):
        reader.read(10)
    reader.set_corrupt_aside = True
    assert [(each.offset, type(each)) for each in reader.read(10)] == [(1, SetAside), (2, SetAside)]


@pytest.mark.parametrize("magic", [0, 1])
@pytest.mark.parametrize("part", ["key", "value"])
@pytest.mark.parametrize("size", [-(2**31), -2, 2**31 - 1])
def test_an_old_message_with_a_size_that_cannot_be_is_corrupt(magic: int, part: str, size: int) -> None:
    raw = bytearray(legacy(magic, [b"value"], 0))
    at = 18 if magic == 0 else 26
    at += 4 + 1 if part == "value" else 0
    raw[at : at + 4] = size.to_bytes(4, "big", signed=True)
    reader = of(bytes(raw), 0, 100, ReadRules(MIB, check_crcs=False))
    with pytest.raises(CorruptBatchError):
        reader.read(10)


@example(bytes(16) + b"\x00\x00\x80" + bytes(7))
@example(b"\x00" * 8 + b"\x80" + bytes(9) + b"\x80" + bytes(7))
@given(st.binary(max_size=300))
def test_any_bytes_are_records_or_corrupt_and_nothing_else(data: bytes) -> None:
    reader = of(data, 0, 100, ReadRules(MIB, check_crcs=False))
    reader.set_corrupt_aside = True
    try:
        read_all(reader)
    except CorruptBatchError:
        assert not reader.done


def legacy(magic: int, values: list[bytes], codec: int) -> bytes:
    builder = LegacyRecordBatchBuilder(magic=magic, compression_type=codec, batch_size=64 * MIB)
    for offset, value in enumerate(values):
        builder.append(offset, 1000, b"k", value)
    return bytes(builder.build())


@pytest.mark.parametrize(("magic", "codec"), [(0, 0), (0, GZIP), (0, SNAPPY), (1, 0), (1, GZIP), (1, SNAPPY), (1, LZ4)])
def test_messages_of_brokers_before_kafka_0_11_are_read(magic: int, codec: int) -> None:
    found = read_all(of(legacy(magic, [b"a", b"b", b"c"], codec)))
    assert [each.value for each in found] == [b"a", b"b", b"c"]


@pytest.mark.parametrize("magic", [0, 1])
def test_a_bomb_of_their_formats_is_set_aside(magic: int) -> None:
    (aside,) = read_all(of(legacy(magic, [bytes(17 * MIB)], GZIP)))
    assert (aside.offset, aside.kind) == (0, "too_large")
