"""A fleet in one process with a broker's log, clocks, delays, pauses and deaths of its own: what the cores are driven by.

Every call that begins is written down with its true time, for a judge that knows nothing of leases.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from ops.load.trace import SHIPPED_TRACE, read_trace
from ops.provider_sim.limits import Bucket, Meter, Window
from schemas.lease import LeaseMessage
from streams.limits import Route
from streams.limits.amount import NONE, Amount, amount, limit_of, total
from streams.limits.books.grantor import Grantor, moment
from streams.limits.books.ledger import LeaseRules
from streams.limits.counting import MOST_SHARE
from streams.limits.usage import Used
from streams.limits.worker.allowance import Allowance, Need
from streams.limits.worker.clock import BrokerClock
from streams.limits.worker.demand_schedule import DemandSchedule
from streams.limits.worker.reservation import LeaseReservation

ROUTE = Route("main", "small")
LIMIT = limit_of(3500, 90_000)

ROUND_S = 0.05


def charged(used: Used) -> Amount:
    """What a call counts as."""
    return Amount(1, used.input)


Load = Callable[[float], list[int]]
"""The tokens of the calls that come in a round."""


@cache
def _sizes() -> list[int]:
    """Tokens of the calls of the Azure conversation trace."""
    return [row.prompt_tokens + row.completion_tokens for row in read_trace(SHIPPED_TRACE)]


def offered(rng: random.Random, per_s: float) -> Load:
    """So many calls a second, with the sizes of the trace."""
    sizes = _sizes()
    return lambda now: [rng.choice(sizes) for _ in range(int(per_s * ROUND_S + rng.random()))]


@dataclass(slots=True)
class Call:
    """A call as the provider sees it."""

    began: float
    ends: float
    tokens: int
    reservation: LeaseReservation
    used: bool = True


class Log:
    """One partition. Its clock may be off, and jumps when its leader changes."""

    def __init__(self) -> None:
        self.offset_s = 0.0
        self.records: list[tuple[float, LeaseMessage]] = []

    def append(self, now: float, message: LeaseMessage) -> float:
        at = round(now + self.offset_s, 3)
        self.records.append((at, message))
        return at


class Worker:
    """One worker: an allowance, books, perhaps the grantor, and a queue of calls to make."""

    def __init__(self, world: World, name: str, load: Load, call_s: float) -> None:
        self.world, self.name, self.load, self.call_s = world, name, load, call_s
        self.skew = world.rng.uniform(-1e6, 1e6)  # its own clock runs, and says anything
        self.clock = BrokerClock(lambda: world.now + self.skew)
        self.grantor = Grantor(name, lambda provider: LIMIT if provider == ROUTE.provider else None, world.rules)
        self.allowance = Allowance(
            ROUTE, LIMIT, world.rules.window_s, world.rules.lease_s, counts_at_end=world.counts_at_end
        )
        self.queue: deque[tuple[float, int]] = deque()
        self.position = max(0, len(world.log.records) - world.replayed)
        self.paused_until = 0.0
        self.dead = False
        self.sending: bool = False
        self.schedule = DemandSchedule()
        self.calls: list[Call] = []
        self.head = NONE

    def turn(self) -> None:
        """One round of its event loop, unless it is stopped."""
        world = self.world
        if self.dead or world.now < self.paused_until:
            return
        for tokens in self.load(world.now):
            self.queue.append((world.now, tokens))
        while self.queue and world.now - self.queue[0][0] > 30.0:
            self.queue.popleft()
        self._read()
        self._settle()
        self._call()
        self._tell()
        self._grant()

    def _read(self) -> None:
        log = self.world.log
        while self.position < len(log.records):
            at, message = log.records[self.position]
            self.clock.read(at)
            if self.grantor.read(self.position, at, message):
                assert message.kind == "grant"
                given = message.grants.get(self.name)
                if self.name in message.recalled:
                    self.allowance.recall(self.position, self.clock.latest())
                if given is not None:
                    until = message.valid_until.timestamp()
                    self.allowance.grant(self.position, amount(given), until, self.clock.latest())
            self.position += 1

    def _settle(self) -> None:
        for call in [call for call in self.calls if call.ends <= self.world.now]:
            self.calls.remove(call)
            call.reservation.settle(Used(call.tokens))

    def _call(self) -> None:
        self.head = NONE
        while self.queue:
            used = self.queue[0][1]
            reserved = self.world.reserved(used)
            if not self.allowance.reserve(reserved, self.clock.latest()):
                self.head = reserved
                return
            self.schedule.served()
            reservation = LeaseReservation(
                self.allowance, reserved, charged, self.clock.latest, lambda: True, lambda: None
            )
            self.queue.popleft()
            if self.world.rng.random() < self.world.lost_share:
                reservation.release()
                continue
            if not reservation.is_valid():
                reservation.release()
                continue
            # on its way: the provider sees it a little later
            began = self.world.now + self.world.rng.uniform(0, 0.1)
            ends = began + self.world.rng.uniform(0.5, 1.5) * self.call_s
            call = Call(began, ends, used, reservation)
            self.calls.append(call)
            self.world.calls.append(call)

    def _tell(self) -> None:
        if self.sending or self.world.now < self.schedule.due_at(
            self.head != NONE, self.allowance.changed, self.allowance.urgent
        ):
            return
        waiting = total(self.world.reserved(tokens) for _, tokens in self.queue)
        need = Need(self.head, waiting)
        now = self.clock.latest() if self.clock.known else 0.0
        demand = self.allowance.demand(self.name, need, moment(self.world.now), now)
        self.schedule.sent(self.world.now, self.head != NONE)
        self.sending = True
        self.world.send(self, demand, self._acked)

    def _acked(self, sent: float, timestamp: float | None) -> None:
        self.sending = False
        self.allowance.confirmed(timestamp is not None)
        self.schedule.confirmed(timestamp is not None)
        if timestamp is not None:
            self.clock.acked(sent + self.skew, self.world.now + self.skew, timestamp)

    def _grant(self) -> None:
        if not self.clock.known:
            return
        now = self.clock.earliest()
        claim = self.grantor.claim(now)
        if claim is not None:
            self.world.send(self, claim)
        for grant in self.grantor.decide(now):
            self.world.send(self, grant)


class World:
    """Time, the log, and what happens between them."""

    def __init__(
        self,
        seed: int,
        *,
        rules: LeaseRules | None = None,
        estimate: Callable[[int], int] = lambda tokens: int(tokens * 1.2) + 50,
        lost_share: float = 0.0,
        delay_s: float = 0.02,
        repeated_share: float = 0.0,
        failed_share: float = 0.0,
        counts_at_end: bool = False,
        call_s: float = 1.0,
    ) -> None:
        self.rng = random.Random(seed)
        self.rules = rules or LeaseRules()
        self.estimate, self.lost_share, self.delay_s = estimate, lost_share, delay_s
        self.repeated_share, self.failed_share = repeated_share, failed_share
        self.counts_at_end, self.call_s = counts_at_end, call_s
        self.moved: str | None = None
        """Whom the group chooses next, without anybody's fault."""
        self.split_until = 0.0
        """Until then a second worker believes that it was chosen."""
        self.replayed = 1_000_000
        self.now = 1_000_000.0
        self.began = self.now
        self.log = Log()
        self.workers: list[Worker] = []
        self.calls: list[Call] = []
        self._events: list[tuple[float, int, Callable[[], Any]]] = []
        self._lanes: dict[str, float] = {}
        self._count = 0
        self._owner: str | None = None
        self._owner_lost_at = -1e9

    def add(self, name: str, load: Load, call_s: float | None = None) -> Worker:
        worker = Worker(self, name, load, self.call_s if call_s is None else call_s)
        self.workers.append(worker)
        return worker

    def reserved(self, tokens: int) -> Amount:
        """What is reserved for a call that takes so many."""
        return Amount(1, min(self.estimate(tokens), LIMIT.tokens * MOST_SHARE))

    def send(
        self, worker: Worker, message: LeaseMessage, acked: Callable[[float, float | None], None] | None = None
    ) -> None:
        """On its way to the log: late, sometimes twice, sometimes lost, in the order of the worker's sending."""
        sent = self.now
        at = max(self._lanes.get(worker.name, 0.0), sent + self.rng.expovariate(1 / self.delay_s))
        self._lanes[worker.name] = at

        def arrive() -> None:
            lost = self.rng.random() < self.failed_share
            timestamp = None if lost and self.rng.random() < 0.5 else self.log.append(self.now, message)
            if timestamp is not None and self.rng.random() < self.repeated_share:
                self.log.append(self.now, message)
            if acked is not None:
                told = None if lost else timestamp
                self.later(self.rng.expovariate(1 / self.delay_s), lambda: acked(sent, told))

        self.later(at - self.now, arrive)

    def later(self, in_s: float, what: Callable[[], Any]) -> None:
        self._count += 1
        heapq.heappush(self._events, (self.now + in_s, self._count, what))

    def elect(self) -> None:
        """The group's choice: the first that lives; one that is silent for 6 s loses."""
        living = [w for w in self.workers if not w.dead and self.now >= w.paused_until]
        if self.moved is not None:
            self._owner, self.moved = self.moved, None
        owner = next((w for w in self.workers if w.name == self._owner), None)
        if owner is None or owner not in living:
            if self._owner is not None and self._owner_lost_at < 0:
                self._owner_lost_at = self.now
            if self._owner is None or self.now - self._owner_lost_at > 6.0:
                self._owner = living[0].name if living else None
                self._owner_lost_at = -1e9
        else:
            self._owner_lost_at = -1e9
        for worker in living:
            worker.grantor.wanted = worker.name == self._owner or (self.now < self.split_until and worker is living[-1])

    def run(self, seconds: float, each: Callable[[], None] = lambda: None) -> None:
        end = self.now + seconds
        while self.now < end:
            step = self.now + ROUND_S
            while self._events and self._events[0][0] <= step:
                at, _, what = heapq.heappop(self._events)
                self.now = max(self.now, at)
                what()
            self.now = step
            self.elect()
            for worker in self.workers:
                worker.turn()
            each()


def refused(calls: list[Call], window_s: float = 60.0) -> int:
    """How many of them a provider refuses that counts in a sliding window, and one that counts in a token bucket."""
    meters: list[Meter] = [kind(int(LIMIT.requests), int(LIMIT.tokens), window_s) for kind in (Window, Bucket)]
    in_order = sorted(calls, key=lambda call: call.began)
    return sum(not meter.admit(call.tokens, call.began).admitted for call in in_order for meter in meters)


def most_in_a_window(calls: list[Call], window_s: float = 60.0, at_end: bool = False) -> tuple[float, int]:
    """The most tokens, and the most calls, that any window of so many seconds saw: the obvious way."""
    events = sorted((call.ends if at_end else call.began, call.tokens) for call in calls)
    most_tokens, most_calls, first, total = 0, 0, 0, 0
    for index, (at, tokens) in enumerate(events):
        total += tokens
        while events[first][0] <= at - window_s:
            total -= events[first][1]
            first += 1
        most_tokens, most_calls = max(most_tokens, total), max(most_calls, index - first + 1)
    return most_tokens, most_calls
