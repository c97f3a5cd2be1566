"""Batches of a few KB that unpack to much more, made byte by byte: no client would write them, and the broker takes them."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c, encode_varint
from aiokafka.structs import TopicPartition

from streams.kafka.produce import produce

_ZSTD = 4
_RLE_BLOCK_BYTES = 128 * 1024


def zstd_bomb(value_bytes: int) -> bytes:
    """A batch of one record whose value is so many spaces: 4 bytes for every 128 KiB of them."""
    blocks = value_bytes // _RLE_BLOCK_BYTES
    value_bytes = blocks * _RLE_BLOCK_BYTES
    head = _varint(0)[:1] + _varint(0) + _varint(0) + _varint(-1) + _varint(value_bytes)
    tail = _varint(0)
    record = _varint(len(head) + value_bytes + len(tail)) + head
    frame = struct.pack("<IBB", 0xFD2FB528, 0, 0x58)  # a window of 2 MiB
    frame += _block(0, len(record)) + record + (_block(1, _RLE_BLOCK_BYTES) + b" ") * blocks
    frame += _block(0, len(tail), last=True) + tail
    return packed_batch(_ZSTD, frame)


def packed_batch(codec: int, packed: bytes) -> bytes:
    """A batch of one record, compressed by this codec."""
    raw = bytearray(_one_record()[:61]) + packed
    struct.pack_into(">i", raw, 8, len(raw) - 12)
    raw[22] |= codec
    struct.pack_into(">I", raw, 17, calc_crc32c(bytes(raw[21:])))
    return bytes(raw)


async def send_batches(client_options: Mapping[str, Any], topic: str, batches: Mapping[int, bytes]) -> None:
    """Write these batches as they are, one to each of these partitions. Raises what the broker refuses."""
    async with AIOKafkaProducer(**client_options) as producer:
        await producer.partitions_for(topic)
        client = producer.client
        for number, raw in batches.items():
            partition = TopicPartition(topic, number)
            node = client.cluster.leader_for_partition(partition)
            for error in (await produce(client, node, {partition: raw}, 30_000)).values():
                raise error


def _one_record() -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, False, -1, -1, -1, 1000)
    builder.append(0, 1_790_000_000_000, None, b"", [])
    return bytes(builder.build())


def _block(kind: int, size: int, last: bool = False) -> bytes:
    """A zstd block's header (RFC 8878 3.1.1.2)."""
    return (size << 3 | kind << 1 | last).to_bytes(3, "little")


def _varint(value: int) -> bytes:
    written = bytearray()
    encode_varint(value, written.append)
    return bytes(written)
