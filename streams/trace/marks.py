"""What is noted of a request on its way to an answer. A hit in the cache has none of it: its answer says all there is."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

Pairs = Sequence[tuple[str, str]]
"""HTTP headers."""

Wait = tuple[str, str]
"""What there was not enough of (`Reason` of streams/waits.py), and of what where that does not say it alone: `tokens`."""


class AttemptSpan(NamedTuple):
    """A span of an attempt: its trace, itself, and the span of the request that the call was made for."""

    trace_id: int
    span_id: int
    parent_id: int


class CallContext(Protocol):
    """The trace context under which a call's attempts go out."""

    def attempt(self) -> tuple[AttemptSpan | None, Pairs]:
        """Of the next one: its span, where one may be told, and the headers for the provider."""


class Try(NamedTuple):
    """One attempt at a provider. A named tuple: it is made for each call."""

    began_at: float
    """Unix seconds, by the records' clock."""
    took_s: float
    endpoint: str
    """Provider and host, as `sim (127.0.0.1:8000)`."""
    outcome: str
    """`ok`, an error type of the contract, or `cancelled`."""
    status: int = 0
    """The HTTP status that a failure stands for; 0: none."""
    span: AttemptSpan | None = None
    """What its span is called in the trace that its call went out under."""


_WORTH_TELLING_S: Final = 0.001

FIRST: Final = 2
LAST: Final = 4
"""Attempts that are kept of many: the first and the last ones."""


@dataclass(slots=True, eq=False)
class CallMarks:
    """What a call notes: its attempts, and what it waited for between them."""

    tries: list[Try] = field(default_factory=list)
    """The first and the last ones where there were more."""
    waits: dict[Wait, float] = field(default_factory=dict)
    context: CallContext | None = None
    _span: AttemptSpan | None = None

    def begin(self) -> Pairs:
        """An attempt begins; the headers of its trace context."""
        if self.context is None:
            return ()
        self._span, headers = self.context.attempt()
        return headers

    def tried(self, one: Try) -> None:
        if self._span is not None:
            one, self._span = one._replace(span=self._span), None
        self.tries.append(one)
        if len(self.tries) > FIRST + LAST:
            del self.tries[FIRST]

    @contextmanager
    def waiting(self, what: Wait) -> Iterator[None]:
        """What is waited for inside, as long as that takes."""
        began = time.monotonic()
        try:
            yield
        finally:
            if (took_s := time.monotonic() - began) >= _WORTH_TELLING_S:
                self.waited(what, took_s)

    def waited(self, what: Wait, seconds: float) -> None:
        self.waits[what] = self.waits.get(what, 0.0) + seconds


def joined(*given: CallMarks | None) -> CallMarks | None:
    """The marks of several calls for one request, in the order of time; None where there are none."""
    calls = [each for each in given if each is not None]
    if len(calls) < 2:
        return calls[0] if calls else None
    found = CallMarks()
    for one in sorted((each for call in calls for each in call.tries), key=lambda each: each.began_at):
        found.tried(one)
    for call in calls:
        for what, seconds in call.waits.items():
            found.waited(what, seconds)
    return found


@dataclass(slots=True, eq=False)
class Marks:
    """What the stages before a call note. Times are Unix seconds by the records' clock."""

    passed_on_at: float
    """When it was known that the cache has no answer."""
    queued_at: float | None = None
    """When it began to wait for dispatch; before that it had joined another request's identical call."""
    waits: dict[Wait, float] = field(default_factory=dict)
    """What it waited for until its first call, and how long in all."""
    earlier: CallMarks | None = None
    """Of calls that it shared with others and that were taken apart."""
