"""Records a second through the whole pipeline, the worker beside its peers: same broker, same records, rounds interleaved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from ops.bench.figures import Report
from ops.bench.go_programs import peer_program, program_versions
from ops.bench.ground import Ground, Say
from ops.bench.machine import machine, peer_versions, versions
from ops.bench.run import BenchError
from ops.bench.venvs import peer_python
from ops.bench.work import ANSWER, REQUEST_TOPICS, Load

_RUN_WITHIN_S: Final = 300.0
PRODUCT: Final = "headrace"


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer: its script, whose environment it runs in, and which share of the records it answers."""

    label: str
    module: str
    lock: str | None = None
    """None: it needs nothing that the product does not, and runs in the product's environment."""
    share: float = 1.0
    """A slow one answers the first part only: it is a rate that is measured."""
    packages: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    is_go: bool = False
    """A program of peers/MODULE/, built where there is a Go toolchain."""


PEERS: Final[Mapping[str, Peer]] = {
    "handler": Peer("the work alone, no Kafka", "handler"),
    "aiokafka": Peer("aiokafka, send per record", "aiokafka_record"),
    "aiokafka_batch": Peer("aiokafka, batches by hand", "aiokafka_batch"),
    "franz_go": Peer("franz-go, in Go", "franz_go", is_go=True),
    "quix": Peer(
        "Quix Streams, RocksDB state",
        "quix_state",
        "requirements.lock",
        0.5,
        ("quixstreams", "confluent-kafka", "pydantic"),
    ),
    "faststream": Peer(
        "FastStream, batches in, publish per record", "faststream_batch", "requirements.lock", 0.2, ("faststream",)
    ),
    "faststream_batch": Peer(
        "FastStream, batches, no ids in headers", "faststream_batch", "requirements.lock", 0.5, options=("--batches",)
    ),
    "faust": Peer("Faust, event by event", "faust_event", share=0.1),
}


@dataclass(frozen=True, slots=True)
class Rounds:
    """Every run's figures, by peer and round; and who could not be measured, with the reason."""

    runs: Mapping[str, Sequence[Mapping[str, Any]]]
    failed: Mapping[str, str]

    def rates(self, name: str) -> list[float]:
        return [float(run["rate"]) for run in self.runs[name]]

    def rate(self, name: str) -> float:
        return median(self.rates(name))

    def ratio(self, name: str) -> float:
        """The worker's median rate over the peer's."""
        return self.rate(PRODUCT) / self.rate(name)

    def spread(self, name: str) -> tuple[float, float]:
        """The smallest and largest ratio of one round."""
        ratios = [ours / theirs for ours, theirs in zip(self.rates(PRODUCT), self.rates(name), strict=True)]
        return min(ratios), max(ratios)

    def cpu_us(self, name: str) -> float:
        return median(float(run["cpu_us"]) for run in self.runs[name])

    def report(self, facts: Mapping[str, Any]) -> Report:
        """The table and the values; `ratios` are the worker's median rate over the peers'."""
        labels = {PRODUCT: "Headrace", **{name: PEERS[name].label for name in self.runs if name != PRODUCT}}
        peers = [name for name in self.runs if name != PRODUCT]
        rows = [["Headrace", f"{self.rate(PRODUCT):,.0f}", f"{self.cpu_us(PRODUCT):.1f}", "", ""]]
        for name in peers:
            low, high = self.spread(name)
            figures = [f"{self.rate(name):,.0f}", f"{self.cpu_us(name):.1f}", f"{self.ratio(name):.2f}"]
            rows.append([labels[name], *figures, f"{low:.2f} to {high:.2f}"])
        values = {
            "ratios": {name: round(self.ratio(name), 3) for name in peers},
            "ratio_spread": {name: [round(each, 3) for each in self.spread(name)] for name in peers},
            "rates": {name: self.rate(name) for name in self.runs},
            "cpu_us": {name: self.cpu_us(name) for name in self.runs},
            "failed": self.failed,
            "runs": self.runs,
            **facts,
        }
        return Report(
            f"Pipeline, hits: {facts['records']:,} records, {facts['repeats']} % of payloads byte for byte as before, "
            f"{facts['rounds']} rounds",
            ["", "records/s", "CPU us a record", "ratio", "ratio by round"],
            rows,
            values,
            bars={labels[name]: self.rate(name) for name in sorted(self.runs, key=self.rate, reverse=True)},
            notes=[
                "ratio: Headrace's median rate over theirs",
                *(f"{name} was not measured: {reason}" for name, reason in self.failed.items()),
            ],
        )


async def measure(ground: Ground, names: Sequence[str], load: Load, rounds: int) -> Report:
    """Run everybody once a round, every second round in the opposite order. A run that does not count comes first: the code of a
    new broker is not compiled yet. A peer that fails is reported with its reason and left out of later rounds.
    """
    say, records = ground.say, load.records
    made, failed = await _environments(names, say)
    await ground.warm(load)
    await ground.filled(load)
    runs: dict[str, list[Mapping[str, Any]]] = {PRODUCT: [], **{name: [] for name in names if name not in failed}}
    await _run_one(ground, PRODUCT, None, records)
    for number in range(1, rounds + 1):
        for name in [PRODUCT, *names][:: 1 if number % 2 else -1]:
            if name in failed:
                continue
            try:
                figures = await _run_one(ground, name, made.get(name), records)
            except BenchError as error:
                if name == PRODUCT:
                    raise
                failed[name] = str(error)
                del runs[name]
                say(f"{name} cannot be measured: {error}")
                continue
            runs[name].append(figures)
            say(f"round {number}: {name:15} {figures['rate']:>9,.0f}/s {figures['cpu_us']:>6.1f} us of CPU a record")
    facts = {
        "records": records,
        "repeats": load.repeats,
        "rounds": rounds,
        "broker": ground.broker.kind,
        "machine": machine(),
    }
    return Rounds(runs, failed).report({**facts, "versions": await _versions(names, made)})


async def _run_one(ground: Ground, name: str, made: Path | None, records: int) -> Mapping[str, Any]:
    await ground.fresh_answers()
    if name == PRODUCT:
        return await ground.run_worker(records).result(_RUN_WITHIN_S)
    peer = PEERS[name]
    group = ground.name(name)
    arguments = [ground.servers, group, str(round(records * peer.share)), *peer.options]
    if peer.is_go and made is not None:
        run = ground.run_program(made, [*arguments, *REQUEST_TOPICS], {"ANSWER": ANSWER.decode()})
    else:
        run = ground.run(f"ops.bench.peers.{peer.module}", arguments, made)
    return await run.result(_RUN_WITHIN_S)


async def _environments(names: Sequence[str], say: Say) -> tuple[dict[str, Path], dict[str, str]]:
    """The interpreters and programs of the peers that have one of their own; and whose could not be made, with the reason."""
    made: dict[str, Path] = {}
    failed: dict[str, str] = {}
    for name in names:
        peer = PEERS[name]
        try:
            if peer.is_go:
                made[name] = await peer_program(peer.module, say)
            elif peer.lock is not None:
                made[name] = await peer_python(peer.lock, say)
        except BenchError as error:
            failed[name] = f"{'it cannot be built' if peer.is_go else 'its environment cannot be made'}: {error}"
            say(f"{name} is left out: {failed[name]}")
    return made, failed


async def _versions(names: Sequence[str], made: Mapping[str, Path]) -> dict[str, Any]:
    found: dict[str, Any] = {PRODUCT: versions()}
    for name in names:
        if name in made and PEERS[name].is_go:
            found[name] = await program_versions(made[name])
        elif name in made:
            found[name] = await peer_versions(made[name], list(PEERS[name].packages))
    return found
