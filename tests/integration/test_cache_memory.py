"""What the memory tier really costs: the process's RSS, after ten times the tier's size has passed through it."""

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

SIZE_BYTES = 100_000_000

_FILL = """
import gc, json, os, random, sys
import psutil
from schemas.response import NO_USAGE
from streams.cache.answers import Answer
from streams.cache.memory import ENTRY_BYTES, Segment

size_bytes, least, most = (int(text) for text in sys.argv[1:])
process = psutil.Process()
idle = process.memory_info().rss
segment, rng, passed = Segment(size_bytes), random.Random(1), 0
filler = os.urandom(most)
while passed < 10 * size_bytes:
    length = rng.randint(least, most)
    payload = filler[:length - 1] + b"!"  # a new object each time
    segment.put(rng.randbytes(16), Answer(payload, NO_USAGE, "sim", 1e12), length, 1e12, 0.0)
    passed += length + ENTRY_BYTES
gc.collect()
print(json.dumps({"used": process.memory_info().rss - idle, "held": segment.stats.bytes, "entries": segment.stats.entries}))
"""


@pytest.mark.long
@pytest.mark.parametrize(("least", "most"), [(2, 3), (100, 4_000), (1_000, 60_000)])
def test_memory_in_use_stays_within_a_quarter_of_what_the_tier_says(
    least: int, most: int, record_property: Callable[[str, object], None]
) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _FILL, str(SIZE_BYTES), str(least), str(most)],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(ran.stdout)
    record_property("measured", f"{found['used'] / 1e6:.0f} MB in use for {found['held'] / 1e6:.0f} MB held")
    assert found["held"] > 0.95 * SIZE_BYTES
    assert found["used"] <= 1.25 * SIZE_BYTES, found
    assert found["used"] >= 0.6 * SIZE_BYTES, "an entry is counted for far more than it costs"
