"""What a batch unpacks to is known, or bounded, before it is."""

from __future__ import annotations

import gzip
import random
import struct
from collections.abc import Callable

import cramjam
import pytest
from aiokafka import codec as aiokafka_codec
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.kafka.unpack import GZIP, LZ4, SNAPPY, ZSTD, BrokenError, TooLargeError, most_unpacked, unpack

MIB = 2**20
Packer = Callable[[bytes], bytes]

PACKERS: list[tuple[int, Packer]] = [
    (GZIP, aiokafka_codec.gzip_encode),
    (GZIP, lambda raw: gzip.compress(raw[:50]) + gzip.compress(raw[50:])),  # members, RFC 1952 2.2
    (SNAPPY, aiokafka_codec.snappy_encode),  # framed as snappy-java does
    (SNAPPY, lambda raw: aiokafka_codec.snappy_encode(raw, xerial_compatible=False)),  # as librdkafka does
    (LZ4, aiokafka_codec.lz4_encode),
    (LZ4, lambda raw: bytes(cramjam.lz4.compress(raw))),  # with checksums and linked blocks
    (ZSTD, aiokafka_codec.zstd_encode),
    (ZSTD, lambda raw: aiokafka_codec.zstd_encode(raw, 19)),
    (ZSTD, lambda raw: aiokafka_codec.zstd_encode(raw[:50]) + aiokafka_codec.zstd_encode(raw[50:])),
    (ZSTD, lambda raw: b"\x50\x2a\x4d\x18" + struct.pack("<I", 3) + b"any" + aiokafka_codec.zstd_encode(raw)),
]
"""Besides what our own client writes: what other clients' codecs may write, by the formats' documents."""
of_all_codecs = pytest.mark.parametrize(
    ("codec", "pack"), [pytest.param(*each, id=f"{each[0]}-{n}") for n, each in enumerate(PACKERS)]
)


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """From what does not compress to what compresses well, over several blocks."""
    rng = random.Random(draw(st.integers()))
    pieces = [
        rng.randbytes(size) if noise else bytes([rng.randrange(256)]) * size
        for noise, size in draw(
            st.lists(st.tuples(st.booleans(), st.sampled_from([0, 1, 40, 5_000, 131_072, 140_000])), max_size=4)
        )
    ]
    return b"".join(pieces)


@of_all_codecs
@settings(max_examples=20)
@given(raw=texts())
def test_what_fits_is_unpacked_as_it_was_and_is_never_more_than_was_said(codec: int, pack: Packer, raw: bytes) -> None:
    packed = memoryview(pack(raw))
    assert most_unpacked(codec, packed, 2**40) >= len(raw)
    assert bytes(unpack(codec, packed, max(1, len(raw)))) == raw


@of_all_codecs
def test_what_is_larger_than_the_limit_is_refused_and_takes_no_more_room_than_that(codec: int, pack: Packer) -> None:
    packed = memoryview(pack(bytes(24 * MIB)))
    with pytest.raises(TooLargeError):
        unpack(codec, packed, 16 * MIB)
    assert len(unpack(codec, packed, 24 * MIB)) == 24 * MIB


@of_all_codecs
@settings(max_examples=20)
@given(data=st.data())
def test_what_was_cut_or_changed_is_broken_or_too_large_and_nothing_else(
    codec: int, pack: Packer, data: st.DataObject
) -> None:
    packed = bytearray(pack(b"some text " * 1000))
    for _ in range(data.draw(st.integers(1, 4))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    del packed[data.draw(st.integers(1, len(packed))) :]
    try:
        found = unpack(codec, memoryview(packed), 20_000)
    except (BrokenError, TooLargeError):
        return
    assert len(found) <= 20_000  # a change that no checksum covers


def test_an_unknown_codec_is_broken() -> None:
    with pytest.raises(BrokenError):
        most_unpacked(5, memoryview(b"anything"), 10)


def test_a_bomb_is_known_by_the_headers_of_its_blocks() -> None:
    """58 KB that hold 1.9 GB: https://github.com/tulios/kafkajs/issues/1795 (unbounded unzip) reports the kind."""
    block = b"\x02\x00\x10" + b"x"  # 128 KiB of one byte, by RFC 8878 3.1.1.2
    frame = struct.pack("<IBB", 0xFD2FB528, 0, 0x58) + block * 14_500 + b"\x01\x00\x00"
    assert len(frame) < 60_000
    assert most_unpacked(ZSTD, memoryview(frame), 2**40) > 1_900_000_000
    with pytest.raises(TooLargeError):
        unpack(ZSTD, memoryview(frame), 16 * MIB)


@of_all_codecs
def test_a_large_one_within_the_limit_is_exact(codec: int, pack: Packer) -> None:
    raw = random.Random(codec).randbytes(3 * MIB) + bytes(9 * MIB)
    assert bytes(unpack(codec, memoryview(pack(raw)), len(raw))) == raw
