"""Which test files may run beside each other when pytest runs in several processes.

Files of one folder that need a broker are one lane: they run one after the other in one process, on one broker. So there are two
such lanes, those that kill, starve and measure real workers (tests/chaos) and all others; both mostly wait. Every other file is a
lane of its own.
"""

import re
from functools import cache
from pathlib import Path
from typing import Final

CHAOS: Final = "a broker, for faults"
BROKER: Final = "a broker"
_NEEDS_A_BROKER: Final = re.compile(r"\b(broker|kafka|pipeline|private_broker|front_url): |mark\.chaos\b")

LONGEST: Final = (CHAOS, BROKER)
"""Begun first."""


@cache
def lane_of(file: Path) -> str:
    """The lane of a test file, by the fixtures that it names."""
    if not _NEEDS_A_BROKER.search(file.read_text()):
        return str(file)
    return CHAOS if file.parent.name == "chaos" else BROKER
