"""Which test files may run beside each other when pytest runs in several processes.

A lane runs in one process, one test after the other. Each file is a lane of its own, but for folders whose files share fixtures
of the folder (tests/integration/front_clients). Each process that runs a file with a broker has a broker of its own: most of
their time is waiting (for sessions to end, for back-off), and waits overlap. On a broker that the processes share, all files that
need it are one lane: tests make the contract's topics anew.
"""

import re
from functools import cache
from pathlib import Path
from typing import Final

BROKER: Final = "broker"
_TOGETHER: Final = "front_clients"
"""One broker, worker and front serve the whole folder."""
_NEEDS_A_BROKER: Final = re.compile(r"\b(broker|kafka|pipeline|private_broker|front_url): |mark\.chaos\b")
_OWN: Final = frozenset({"docker", "apache", "embedded"})


@cache
def needs_broker(file: Path) -> bool:
    """Whether a test file needs a broker, by the fixtures that it names."""
    return _NEEDS_A_BROKER.search(file.read_text()) is not None


def lane_of(file: Path, broker_kind: str | None) -> str:
    """The lane of a test file on a broker of this kind (broker.Choice)."""
    if needs_broker(file) and broker_kind not in _OWN:
        return BROKER
    return _TOGETHER if file.parent.name == _TOGETHER else str(file)
