"""The promise, as a pure function of a book.

1. **Answered at least once.** Every request that the brokers accepted has an answer or a dead letter; what is not `ok` says why.
2. **In time.** Once nothing is broken any more, all is answered within `BOUND_S`.
3. **Not paid or answered again after its commit.** A commit follows the answer within `COMMIT_S` where nothing is broken. So a
   request whose life, from its record to `COMMIT_S` after its (first) answer, no disturbance touched is settled: it was called no
   more often than its provider failed, and is neither called nor answered again. Only what was under way when something broke
   may be paid twice; that is counted.
4. **No limit exceeded.** By the provider's own book, in any window, refused calls included; and it refused none for its limit.
5. **No answer of another's.** An answer carries the mark of what its own request asked, and goes to its own agent.
6. **No process ends by itself.**
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ops.lab.book import Asked, Book, Call, Disturbance, Ended
from ops.load.ledger import percentile

BOUND_S: Final = 30.0
COMMIT_S: Final = 2.5
"""kafka.commit_interval is 1 s, and 0.1 s after a call; the rest is for a machine that does much else."""

SETTLE_S: Final = 12.0
"""How long after a disturbance a commit may still be late: a session of 6 s, a rebalance, a coordinator that is looked up."""

MANY: Final = 20
"""Violations of a kind that are named; the others are counted."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise: which, and what was seen."""

    kind: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a run. Latencies are from the request's record to its first end's, without what the provider took by wish."""

    violations: tuple[Violation, ...]
    asked: int
    answered: int
    statuses: Mapping[str, int]
    """Of first ends."""
    reasons: Mapping[str, int]
    """Of first ends that are not `ok`."""
    lost: int
    answered_twice: int
    calls: int
    paid_twice: int
    """Calls that ended well beyond one for each request: all of them of what was under way, or they are violations."""
    live_asked: int
    """Requests that no fault of a provider touched."""
    live_ok: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    most_of_limit: float
    """The fullest window of a limit, as a share of it."""

    def with_more(self, *more: Violation) -> Verdict:
        """The same with further violations."""
        return replace(self, violations=(*self.violations, *more))

    @property
    def availability(self) -> float:
        """Share of `ok` among the answers where the providers live; 1 without any."""
        return self.live_ok / self.live_asked if self.live_asked else 1.0


def check(book: Book) -> Verdict:
    """All violations of a book, and its figures."""
    first: dict[str, Ended] = {}
    ends: Counter[str] = Counter()
    for end in sorted(book.ended, key=lambda end: end.at):
        first.setdefault(end.request_id, end)
        ends[end.request_id] += end.status != "dead"
    calls: dict[str, list[Call]] = defaultdict(list)
    for call in book.calls:
        calls[call.prompt_id].append(call)
    lost = [name for name in book.asked if name not in first]
    found = [
        *(Violation("lost", name) for name in lost),
        *_late(book, first),
        *_without_reason(book.ended),
        *_of_others(book),
        *_paid_again(book, first, calls),
        *_over_limit(book),
        *(Violation("ended", what) for what in book.exits),
    ]
    firsts = [first[name] for name in book.asked if name in first]
    live = [name for name, asked in book.asked.items() if name in first and not _provider_broken(book, asked, first)]
    latencies = sorted(
        max(0, round((first[name].at - asked.at - asked.takes_s) * 1000))
        for name, asked in book.asked.items()
        if name in first
    )
    return Verdict(
        tuple(found),
        len(book.asked),
        len(firsts),
        Counter(end.status for end in firsts),
        Counter(str(end.reason) for end in firsts if end.status != "ok"),
        len(lost),
        sum(max(0, ends[name] - asked.records) for name, asked in book.asked.items()),
        len(book.calls),
        sum(_paid_beyond(asked, calls) for asked in _by_prompt(book).values()),
        len(live),
        sum(first[name].status == "ok" for name in live),
        percentile(latencies, 0.50),
        percentile(latencies, 0.99),
        percentile(latencies, 1.0),
        max(
            (fullest(times_of(book, name), limit.window_s) / limit.requests for name, limit in book.limits.items()),
            default=0,
        ),
    )


def times_of(book: Book, provider: str) -> list[float]:
    """When a provider was called, in order."""
    return sorted(call.at for call in book.calls if call.provider == provider)


def fullest(times: Sequence[float], window_s: float) -> int:
    """The most of ascending `times` in any half-open window.

    >>> fullest([0.0, 0.5, 1.0, 1.2], 1.0)
    3
    """
    return max((bisect_left(times, start + window_s) - place for place, start in enumerate(times)), default=0)


def _late(book: Book, first: Mapping[str, Ended]) -> Iterator[Violation]:
    for name, asked in book.asked.items():
        end = first.get(name)
        if (
            end is not None
            and book.faults_over_at
            and end.at > max(book.faults_over_at, asked.at) + BOUND_S + asked.takes_s
        ):
            yield Violation("late", f"{name} was answered {end.at - book.faults_over_at:.1f} s after all was well")


def _without_reason(ended: Iterable[Ended]) -> Iterator[Violation]:
    for end in ended:
        if end.status not in ("ok", "dead") and not end.reason:
            yield Violation("without reason", f"{end.request_id} is {end.status}")


def _of_others(book: Book) -> Iterator[Violation]:
    for end in book.ended:
        asked = book.asked.get(end.request_id)
        if asked is None:
            if end.status != "dead":
                yield Violation("of another", f"{end.request_id} was never asked and is answered {end.status}")
        elif end.status == "ok" and end.mark != asked.mark:
            yield Violation("of another", f"{end.request_id} carries {end.mark}, its own mark is {asked.mark}")
        elif end.agent_id is not None and end.agent_id != asked.agent_id:
            yield Violation("of another", f"{end.request_id} of {asked.agent_id} went to {end.agent_id}")


def _by_prompt(book: Book) -> dict[str, list[Asked]]:
    prompts: dict[str, list[Asked]] = defaultdict(list)
    for asked in book.asked.values():
        prompts[asked.prompt_id].append(asked)
    return prompts


def _paid_beyond(asked: Sequence[Asked], calls: Mapping[str, Sequence[Call]]) -> int:
    paid = sum(call.outcome == "ok" for call in calls.get(asked[0].prompt_id, ()))
    return max(0, paid - sum(each.records for each in asked))


def _paid_again(book: Book, first: Mapping[str, Ended], calls: Mapping[str, Sequence[Call]]) -> Iterator[Violation]:
    moving = [each for each in book.disturbances if each.moves_calls]
    ends: dict[str, list[float]] = defaultdict(list)
    for end in book.ended:
        ends[end.request_id].append(end.at)
    for prompt, asked in _by_prompt(book).items():
        if any(each.request_id not in first for each in asked):
            continue  # lost, or not answered yet
        settled_at = max(first[each.request_id].at for each in asked) + COMMIT_S
        if touched(moving, min(each.at for each in asked), settled_at):
            continue
        again = [call for call in calls.get(prompt, ()) if call.at > settled_at]
        if again:
            since = again[0].at - settled_at + COMMIT_S
            yield Violation("paid again", f"{asked[0].request_id} was called again {since:.1f} s after its answer")
        elif late := [each.request_id for each in asked if max(ends[each.request_id]) > settled_at]:
            yield Violation("answered again", f"{late[0]} was answered again more than {COMMIT_S} s after its answer")
        elif _paid_beyond(asked, calls):
            yield Violation("paid again", f"{asked[0].request_id} was paid twice, and nothing was broken")


def touched(disturbances: Iterable[Disturbance], begin: float, end: float) -> bool:
    """Whether anything was broken, or only just mended, between the two times."""
    return any(each.begin <= end and each.end + SETTLE_S >= begin for each in disturbances)


def _provider_broken(book: Book, asked: Asked, first: Mapping[str, Ended]) -> bool:
    """Whether a fault of a provider touched the request, or its breaker may still have been open."""
    return any(
        not each.moves_calls and each.begin <= first[asked.request_id].at and each.end + SETTLE_S >= asked.at
        for each in book.disturbances
    )


def _over_limit(book: Book) -> Iterator[Violation]:
    for provider, limit in book.limits.items():
        most = fullest(times_of(book, provider), limit.window_s)
        if most > limit.requests:
            yield Violation(
                "over limit", f"{provider}: {most} calls in {limit.window_s:g} s, {limit.requests} are allowed"
            )
    for call in book.calls:
        if call.outcome == "over_limit":
            yield Violation("over limit", f"{call.provider} refused {call.prompt_id} for its limit")
