"""Unpacking what a producer has compressed, never beyond a limit.

A batch of 58 KB of zstd can hold 1.9 GB. So its blocks are looked at first, without unpacking any: what they can hold at most is
known from their headers. Only where that may be too much is it unpacked, into a buffer that is as large as the limit.

Formats: gzip RFC 1952 (deflate makes at most 1,032 bytes of one: https://zlib.net/zlib_tech.html), zstd RFC 8878 (a block
holds at most 128 KiB), LZ4 frames (https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md), snappy with and
without the framing of snappy-java (each block says what it holds).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Generator, Iterator
from typing import Final

import cramjam

GZIP: Final = 1
SNAPPY: Final = 2
LZ4: Final = 3
ZSTD: Final = 4

_GZIP_RATIO: Final = 1_032
_GZIP_PIECE_BYTES: Final = 256 * 1024
"""So much is unpacked at a time: the lock of the interpreter is free meanwhile, and taken to join the pieces."""
_ZSTD_BLOCK_BYTES: Final = 128 * 1024
_ZSTD_MAGIC: Final = 0xFD2FB528
_SKIPPABLE: Final = range(0x184D2A50, 0x184D2A60)
_LZ4_MAGIC: Final = 0x184D2204
_LZ4_BLOCK_BYTES: Final = {4: 64 * 1024, 5: 256 * 1024, 6: 1024 * 1024, 7: 4 * 1024 * 1024}
_XERIAL: Final = b"\x82SNAPPY\x00"
_XERIAL_HEADER_BYTES: Final = 16

_Frame = Callable[[memoryview, int], Generator[int, None, int]]
"""Reads one frame, from behind its magic number on: yields what each block holds at most, returns where the frame ends."""

_u32 = struct.Struct("<I").unpack_from
_i32_be = struct.Struct(">i").unpack_from


class TooLargeError(Exception):
    """It holds more than the limit."""


class BrokenError(Exception):
    """It is not what its codec writes."""


def most_unpacked(codec: int, packed: memoryview, enough: int) -> int:
    """Bytes that it holds at most; what is above `enough` is not counted to its end. Raises BrokenError."""
    if codec == GZIP:
        return len(packed) * _GZIP_RATIO
    try:
        blocks = _BLOCKS[codec](packed)
    except KeyError:
        raise BrokenError(f"unknown codec {codec}") from None
    most = 0
    try:
        for size in blocks:
            most += size
            if most > enough:
                break
    except (struct.error, IndexError, cramjam.DecompressionError) as error:
        raise BrokenError(str(error)) from None
    return most


def unpack(codec: int, packed: memoryview, limit: int) -> bytes | memoryview:
    """What it holds. Raises TooLargeError beyond `limit` bytes, and BrokenError."""
    most = most_unpacked(codec, packed, limit)
    try:
        if codec == GZIP:
            return _gunzip(packed, limit)
        if codec == SNAPPY:
            if most > limit:
                raise TooLargeError
            return b"".join(bytes(cramjam.snappy.decompress_raw(block)) for block in _snappy_blocks(packed))
        room = bytearray(min(most, limit))  # zero pages until they are written
        into = cramjam.zstd.decompress_into if codec == ZSTD else cramjam.lz4.decompress_into
        return memoryview(room)[: into(packed.tobytes(), room)]
    except cramjam.DecompressionError as error:
        if most > limit and "whole buffer" in str(error):
            raise TooLargeError from None
        raise BrokenError(str(error)) from None
    except (zlib.error, struct.error, IndexError, EOFError) as error:
        raise BrokenError(str(error)) from None


def _gunzip(packed: memoryview, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    rest: bytes | memoryview = packed
    while rest:  # a member after the other
        member = zlib.decompressobj(31)
        while not member.eof:
            pieces.append(member.decompress(rest, _GZIP_PIECE_BYTES))
            rest = member.unconsumed_tail
            if not (pieces[-1] or rest or member.eof):
                raise EOFError("it ends before its end")
            size += len(pieces[-1])
            if size > limit:
                raise TooLargeError
        rest = member.unused_data.lstrip(b"\x00")
    return b"".join(pieces)


def _framed(packed: memoryview, magic: int, frame: _Frame) -> Iterator[int]:
    """What each block holds at most, frame after frame."""
    at = 0
    while at < len(packed):
        (found,) = _u32(packed, at)
        if found in _SKIPPABLE:
            at += 8 + _u32(packed, at + 4)[0]
        elif found == magic:
            at = yield from frame(packed, at + 4)
        else:
            raise BrokenError(f"no frame of its codec, but {found:#x}")


def _zstd_frame(packed: memoryview, at: int) -> Generator[int, None, int]:
    descriptor = packed[at]
    single_segment, size_flag = descriptor >> 5 & 1, descriptor >> 6
    at += 1 + (not single_segment) + (0, 1, 2, 4)[descriptor & 3] + ((single_segment, 2, 4, 8)[size_flag])
    is_last = False
    while not is_last:
        header = packed[at] | packed[at + 1] << 8 | packed[at + 2] << 16
        is_last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
        at += 3 + (1 if kind == 1 else size)  # 1: one byte, `size` times
        yield _ZSTD_BLOCK_BYTES if kind == 2 else size
    return at + 4 * (descriptor >> 2 & 1)  # checksum


def _lz4_frame(packed: memoryview, at: int) -> Generator[int, None, int]:
    flags, largest = packed[at], _LZ4_BLOCK_BYTES.get(packed[at + 1] >> 4 & 7)
    if largest is None:
        raise BrokenError("unknown size of LZ4 blocks")
    at += 3 + 8 * (flags >> 3 & 1) + 4 * (flags & 1)
    while size := _u32(packed, at)[0]:
        is_plain, size = size >> 31, size & 0x7FFFFFFF
        at += 4 + size + 4 * (flags >> 4 & 1)
        yield size if is_plain else min(largest, 255 * size)
    return at + 4 + 4 * (flags >> 2 & 1)


def _snappy_blocks(packed: memoryview) -> Iterator[memoryview]:
    if bytes(packed[: len(_XERIAL)]) != _XERIAL:
        yield packed
        return
    at, end = _XERIAL_HEADER_BYTES, len(packed)
    while at < end:
        (size,) = _i32_be(packed, at)
        if size <= 0 or at + 4 + size > end:
            raise BrokenError("a snappy block ends behind its batch")
        yield packed[at + 4 : at + 4 + size]
        at += 4 + size


def _snappy_sizes(packed: memoryview) -> Iterator[int]:
    return (cramjam.snappy.decompress_raw_len(block) for block in _snappy_blocks(packed))


_BLOCKS: Final[dict[int, Callable[[memoryview], Iterator[int]]]] = {
    SNAPPY: _snappy_sizes,
    LZ4: lambda packed: _framed(packed, _LZ4_MAGIC, _lz4_frame),
    ZSTD: lambda packed: _framed(packed, _ZSTD_MAGIC, _zstd_frame),
}
