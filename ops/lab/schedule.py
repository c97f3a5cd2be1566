"""Random schedules of faults: pure values, made from a seed, so that one command repeats them.

Faults go in two lanes. In the lane `cluster` one follows the other with time between, because the promise of recovery is about
single broker faults: with two of three brokers away, min.insync.replicas = 2 stops every write, as it should. The lane `fleet`
breaks workers, control and providers meanwhile, so that two faults are usually under way at once.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Lane = Literal["cluster", "fleet"]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault: how often it is drawn in its lane, and between which times it lasts, in seconds."""

    name: str
    lane: Lane
    weight: int
    shortest_s: float
    longest_s: float


KINDS: Final = (
    # Brokers: killed and paused ones are the nemesis of Jepsen's Redpanda tests (jepsen-io/redpanda, --nemesis pause,kill).
    Kind("broker_kill", "cluster", 4, 2, 8),
    Kind("broker_pause", "cluster", 3, 3, 12),
    Kind("broker_restart", "cluster", 2, 0, 2),
    Kind("broker_moves", "cluster", 2, 0, 2),
    Kind("rolling_restart", "cluster", 1, 0, 0),
    Kind("leaders_move", "cluster", 2, 0, 0),
    Kind("partitions_added", "cluster", 1, 0, 0),
    # Networks: the toxics of Toxiproxy (latency and jitter, reset_peer, timeout 0, slicer).
    Kind("net_delay", "cluster", 2, 5, 12),
    Kind("net_cut", "cluster", 3, 2, 8),
    Kind("net_half_open", "cluster", 3, 4, 12),
    Kind("net_drip", "cluster", 2, 4, 10),
    # What is sent arrives and is never answered: the one-way partitions of Jepsen's nemesis.
    Kind("net_no_answers", "cluster", 2, 4, 10),
    # All brokers out of reach one by one, and back in another order: FoundationDB's swizzle-clogging.
    Kind("net_swizzle", "cluster", 1, 4, 8),
    Kind("worker_kill", "fleet", 4, 0, 3),
    Kind("worker_term", "fleet", 2, 0, 1),
    Kind("worker_pause", "fleet", 3, 5, 20),
    Kind("worker_added", "fleet", 2, 10, 20),
    Kind("grantor_kill", "fleet", 2, 0, 3),
    Kind("control_kill", "fleet", 1, 0, 3),
    Kind("control_pause", "fleet", 1, 5, 15),
    Kind("provider_errors", "fleet", 2, 3, 8),
    Kind("provider_slow", "fleet", 1, 3, 8),
    Kind("provider_refuses", "fleet", 1, 2, 5),
    Kind("provider_busy", "fleet", 1, 3, 8),
)
KIND: Final = {kind.name: kind for kind in KINDS}

QUIET_START_S: Final = 5.0
_GAP_S: Final = {"cluster": (7.0, 13.0), "fleet": (3.0, 10.0)}
"""Between the end of a fault and the next one of its lane. A broker needs about 8 s to start and to be in sync again."""
_START_S: Final = {"broker_kill": 8.0, "broker_restart": 8.0, "broker_moves": 8.0, "rolling_restart": 30.0}
"""Time that a fault takes besides: brokers that start."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: `at_s` seconds after the start, for `lasts_s`; `target` chooses which broker or worker, modulo their number."""

    at_s: float
    kind: str
    target: int
    lasts_s: float

    @property
    def lane(self) -> Lane:
        return KIND[self.kind].lane

    def __str__(self) -> str:
        return f"{self.at_s:5.1f} s {self.kind} of {self.target} for {self.lasts_s:.1f} s"


@dataclass(frozen=True, slots=True)
class Schedule:
    """Faults by time, from `seed` over `seconds`.

    `only` names those that are left of what the seed gives, by their place; None is all of them.
    """

    seed: int
    seconds: float
    faults: tuple[Fault, ...]
    only: tuple[int, ...] | None = None
    spare_first: bool = False
    """Whether the first worker and control are never ended, so that their memory can be followed over the whole time."""

    def command(self) -> str:
        """What repeats it from a shell."""
        only = "" if self.only is None else f" --only {','.join(map(str, self.only)) or 'none'}"
        return f"python -m tests.cluster --seed {self.seed} --seconds {self.seconds:g}{only}"

    def places(self) -> tuple[int, ...]:
        """The place of each of its faults in what the seed gives."""
        return self.only if self.only is not None else tuple(range(len(self.faults)))

    def keep(self, places: Sequence[int]) -> Schedule:
        """The same schedule with no other faults than those, which must be among `places()`. Raises ValueError."""
        at = dict(zip(self.places(), self.faults, strict=True))
        if missing := [place for place in places if place not in at]:
            raise ValueError(f"the schedule of seed {self.seed} has no fault {missing[0]}: it has {len(self.faults)}")
        kept = tuple(sorted(places))
        return Schedule(self.seed, self.seconds, tuple(at[place] for place in kept), kept, self.spare_first)


def make_schedule(
    seed: int, seconds: float, *, kinds: Sequence[str] | None = None, calm: float = 1.0, spare_first: bool = False
) -> Schedule:
    """The schedule of a seed; the same arguments give the same one. At least five faults where `seconds` is 60 or more.

    Args:
        seed: of every draw.
        seconds: of load; faults begin after `QUIET_START_S` and the last one ends before the end.
        kinds: names to draw from; None is all.
        calm: factor on the time between faults.
        spare_first: see `Schedule`.

    Raises:
        ValueError: a kind that there is not.
    """
    if unknown := [name for name in kinds or () if name not in KIND]:
        raise ValueError(f"there is no fault {unknown[0]}: there are {', '.join(KIND)}")
    drawn: list[Fault] = []
    for lane in ("cluster", "fleet"):
        rng = random.Random(f"{seed} {lane}")
        wanted = [kind for kind in KINDS if kind.lane == lane and (kinds is None or kind.name in kinds)]
        drawn += _lane(rng, wanted, seconds, _GAP_S[lane], calm, spare_first)
    return Schedule(seed, seconds, tuple(sorted(drawn, key=lambda fault: fault.at_s)), None, spare_first)


def _lane(
    rng: random.Random, kinds: Sequence[Kind], seconds: float, gap_s: tuple[float, float], calm: float, spare: bool
) -> Iterator[Fault]:
    now, grown = QUIET_START_S + rng.uniform(0, 4), False
    if spare:
        kinds = [kind for kind in kinds if kind.name != "control_kill"]
    while kinds:
        # Growing a topic is one way, and its consumers' work: once is enough for a schedule.
        (kind,) = rng.choices(
            kinds, [0 if grown and each.name == "partitions_added" else each.weight for each in kinds]
        )
        lasts = round(rng.uniform(kind.shortest_s, kind.longest_s), 1)
        takes = lasts + _START_S.get(kind.name, 0.0)
        target, pause = rng.randrange(60), rng.uniform(*gap_s) * calm
        if now + takes > seconds:
            # Something shorter may still fit: the time is not given away.
            kinds = [each for each in kinds if each.name != kind.name]
            if now + 2 > seconds or not kinds or sum(each.weight for each in kinds) == 0:
                return
            continue
        grown = grown or kind.name == "partitions_added"
        yield Fault(round(now, 1), kind.name, target, lasts)
        now += takes + pause
