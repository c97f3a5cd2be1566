"""A process that writes a cache store as fast as it can, entry by entry from the stored position on, until it is killed.

Every entry's key and value follow from its number, so that whoever looks later knows what should be there.
"""

import asyncio
import os
import sys
from pathlib import Path
from random import Random

from streams.cache.disk import DiskTable, Entry
from streams.cache.rocks import TableOptions

PARTITION = ("cache.entries", 0)
NOW, LATER = 1_000_000.0, 1_086_400.0
WRITE = 200
"""Entries of one write: several batches."""
_NOISE = Random(0).randbytes(1_000_003)
CAP = "CACHE_WRITER_CAP"
ROOMY_BYTES, TIGHT_BYTES = 10_000_000_000, 30_000_000


def key(number: int) -> bytes:
    return b"entry-" + number.to_bytes(10, "big")


def number_of(key: bytes) -> int:
    return int.from_bytes(key[-10:], "big")


def value(number: int) -> bytes:
    """200 to 9,000 bytes that do not compress; cheap to make, so that the writer does little but write."""
    size = 200 + number * 7_919 % 8_800
    at = number * 104_729 % (len(_NOISE) - size)
    return b"%d:" % number + _NOISE[at : at + size]


async def write(path: Path, cap_bytes: int) -> None:
    table = await DiskTable.open(path, TableOptions(cap_bytes, 86_400))
    offset = (await table.positions()).get(PARTITION, 0)
    while True:
        entries = [Entry(key(number), value(number), LATER) for number in range(offset, offset + WRITE)]
        offset += WRITE
        await table.put_many(entries, {PARTITION: offset})
        sys.stdout.write(f"{offset}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1]), int(os.environ[CAP])))
