"""What the demo showed, in words. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ops.load.ledger import Summary


@dataclass(frozen=True, slots=True)
class Shown:
    """What was done while the load ran. Times are seconds since its start; None: it was not done."""

    killed_at_s: float | None = None
    grew_at_s: float | None = None
    workers: int = 0
    """At the end."""
    paid_twice: int = 0
    """Requests that the provider answered more than once, as its own book says."""


def verdict(summary: Summary, shown: Shown, *, interrupted: bool) -> str:
    """The sentence at the end.

    >>> from ops.load.ledger import Ledger
    >>> verdict(Ledger().summary(), Shown(), interrupted=True)
    'Interrupted: 0 sent, 0 answered so far.'
    """
    if interrupted:
        return f"Interrupted: {summary.sent:,} sent, {summary.answered:,} answered so far."
    parts = [f"{summary.sent:,} sent", f"{summary.answered:,} answered", f"{summary.lost:,} lost"]
    if shown.killed_at_s is not None:
        parts.append(f"a worker killed at {_clock(shown.killed_at_s)}")
    if shown.grew_at_s is not None:
        parts.append(f"the fleet grown to {shown.workers} at {_clock(shown.grew_at_s)}")
    parts.append(f"{shown.paid_twice:,} paid twice" + _why_twice(shown))
    return ", ".join(parts) + "."


def _why_twice(shown: Shown) -> str:
    if not shown.paid_twice:
        return ""
    if shown.killed_at_s is None:
        return " (a partition moved during a call)"
    return " (they were under way in the worker that was killed: docs/guarantee.md)"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def try_next(command: str) -> str:
    """What to try behind a demo. `command`: how the reader's shell calls headrace."""
    width = len(command) + len(" demo --ui") + 6
    return "\n".join(
        [
            f"Next: {command + ' demo --ui':<{width}}every request as it flows, in the browser",
            f"      {command + ' dev':<{width}}all of this for your own client, until Ctrl-C",
            f"      {'docs/guarantee.md':<{width}}what is promised, and what is not",
        ]
    )
