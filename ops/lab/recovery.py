"""How long each fault was felt, from the book alone. Pure.

A request is slow if its answer took `SLOW_S` longer than its provider's call. It is put down to the fault that began last before
it became slow; a fault was felt until the last request that is put down to it was answered. With several faults at once the blame
may fall on the wrong one. Requests to a provider with a limit do not count: after an outage they wait for the limit.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

from ops.lab.book import Book, Disturbance, Ended

SLOW_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Recovery:
    """One fault, and how long it was felt: in seconds from its beginning, and from when recovery was due."""

    fault: Disturbance
    slow: int
    felt_s: float
    recovered_s: float


def recoveries(book: Book) -> list[Recovery]:
    """Every disturbance of the book by its beginning, with how long it was felt."""
    faults = sorted(book.disturbances, key=lambda each: each.begin)
    begins = [fault.begin for fault in faults]
    first: dict[str, Ended] = {}
    for each in sorted(book.ended, key=lambda each: each.at):
        first.setdefault(each.request_id, each)
    slow, last = [0] * len(faults), [0.0] * len(faults)
    for name, asked in book.asked.items():
        end = first.get(name)
        slow_at = asked.at + asked.takes_s + SLOW_S
        if end is None or end.at <= slow_at or asked.provider in book.limits:
            continue
        place = bisect_right(begins, slow_at) - 1
        if place >= 0:
            slow[place] += 1
            last[place] = max(last[place], end.at)
    return [
        Recovery(fault, count, max(0.0, at - fault.begin), max(0.0, at - fault.counted_from))
        for fault, count, at in zip(faults, slow, last, strict=True)
    ]
