"""Which processes there should be, and what to do about it now: starts, drains, pauses between starts, giving up. Pure.

Every process has a place: `w0`, `w1`, … A process that ends by itself is started anew in its place, after a pause that doubles
with each start that failed in a row. After so many the place is given up, loudly; a new wish tries it again. Who goes is the
youngest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

State = Literal["starting", "ready", "draining", "waiting", "given_up"]
STATES: tuple[State, ...] = ("starting", "ready", "draining", "waiting", "given_up")


@dataclass(frozen=True, slots=True)
class Pauses:
    """Pauses between starts; `steady_s`: a process that ran for so long has not failed at its start."""

    first_s: float = 1.0
    last_s: float = 30.0
    give_up_after: int = 5
    steady_s: float = 60.0

    def after(self, failures: int) -> float:
        """The pause after so many failures in a row.

        >>> [Pauses().after(n) for n in (1, 2, 3, 6, 2000)]
        [1.0, 2.0, 4.0, 30.0, 30.0]
        """
        return min(self.last_s, self.first_s * 2.0 ** min(failures - 1, 60))


@dataclass(slots=True)
class Place:
    """One process, and what happened to those before it in this place."""

    name: str
    state: State
    since: float
    failures: int = 0
    start_at: float = 0.0


@dataclass(slots=True)
class Roster:
    """The places, oldest first.

    >>> roster = Roster(Pauses())
    >>> roster.want(2, now=0.0); [place.name for place in roster.to_start(0.0)]
    ['w0', 'w1']
    >>> roster.is_ready("w0", 1.0); roster.is_ready("w1", 1.0)
    >>> roster.want(1, now=5.0); [place.name for place in roster.to_drain()]
    ['w1']
    """

    pauses: Pauses
    wanted: int = 0
    prefix: str = "w"
    places: dict[str, Place] = field(default_factory=dict)
    _made: int = 0

    def want(self, count: int, now: float) -> None:
        """So many there should be from now on. Places that were given up are tried again."""
        self.wanted = count
        for place in self.places.values():
            if place.state == "given_up":
                place.state, place.since, place.failures, place.start_at = "waiting", now, 0, now
        kept = [place for place in self.places.values() if place.state != "draining"]
        for _ in range(count - len(kept)):
            name = f"{self.prefix}{self._made}"
            self._made += 1
            self.places[name] = Place(name, "waiting", now, start_at=now)
        for place in kept[count:]:
            if place.state == "waiting":
                del self.places[place.name]
            else:
                place.state, place.since = "draining", now

    def to_start(self, now: float) -> Iterator[Place]:
        """Places whose process is due; each counts as starting from here on."""
        for place in list(self.places.values()):
            if place.state == "waiting" and place.start_at <= now:
                place.state, place.since = "starting", now
                yield place

    def to_drain(self) -> list[Place]:
        """Places whose process should end."""
        return [place for place in self.places.values() if place.state == "draining"]

    def is_ready(self, name: str, now: float) -> None:
        """Its process works."""
        place = self.places.get(name)
        if place is not None and place.state == "starting":
            place.state, place.since = "ready", now

    def ended(self, name: str, now: float) -> Place | None:
        """Its process has ended, by itself or drained. The place, if it is still wanted; its state says what comes of it."""
        place = self.places[name]
        if place.state == "draining":
            del self.places[name]
            return None
        steady = place.state == "ready" and now - place.since >= self.pauses.steady_s
        place.failures = 1 if steady else place.failures + 1
        if place.failures >= self.pauses.give_up_after:
            place.state, place.since = "given_up", now
        else:
            place.state, place.since, place.start_at = "waiting", now, now + self.pauses.after(place.failures)
        return place

    def counts(self) -> dict[State, int]:
        """Places by state."""
        return {state: sum(place.state == state for place in self.places.values()) for state in STATES}

    @property
    def is_settled(self) -> bool:
        """Whether there are as many ready ones as wanted, and nobody is on the way out."""
        return len(self.places) == self.wanted == self.counts()["ready"]
