"""Which test files may run beside each other when pytest runs in several processes.

All files that need a broker are one lane: they run one after the other in one process, on one broker, so that tests which
kill, starve or measure real workers do not disturb each other. Every other file is a lane of its own.
"""

import re
from functools import cache
from pathlib import Path
from typing import Final

BROKER: Final = "broker"
_NEEDS_A_BROKER: Final = re.compile(r"\b(broker|kafka|pipeline|private_broker): |mark\.chaos\b")


@cache
def lane_of(file: Path) -> str:
    """The lane of a test file, by the fixtures that it names."""
    return BROKER if _NEEDS_A_BROKER.search(file.read_text()) else str(file)
