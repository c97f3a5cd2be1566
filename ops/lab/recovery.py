"""How long each fault was felt, from the book alone. Pure.

A request is slow if its answer took `SLOW_S` longer than its provider's call. It is put down to the fault that began last before
it became slow; a fault was felt until the last request that is put down to it was answered. Where others came on top before that,
recovery is due from the last of them. Requests to a provider with a limit do not count: after an outage they wait for the limit.
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
    slow, felt, recovered = [0] * len(faults), [0.0] * len(faults), [0.0] * len(faults)
    for name, asked in book.asked.items():
        end = first.get(name)
        slow_at = asked.at + asked.takes_s + SLOW_S
        if end is None or end.at <= slow_at or asked.provider in book.limits:
            continue
        place = bisect_right(begins, slow_at) - 1
        if place >= 0:
            slow[place] += 1
            felt[place] = max(felt[place], end.at - begins[place])
            due = max(fault.counted_from for fault in faults[place : bisect_right(begins, end.at)])
            recovered[place] = max(recovered[place], end.at - due)
    return [Recovery(*each) for each in zip(faults, slow, felt, recovered, strict=True)]
