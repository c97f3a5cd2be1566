"""What every peer is told on its command line."""

import sys
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Arguments:
    """The broker, a group that nobody was in, and how many records to answer."""

    servers: str
    group: str
    records: int

    @classmethod
    def read(cls) -> Self:
        servers, group, records = sys.argv[1:4]
        return cls(servers, group, int(records))
