"""The cache over a fleet: identical requests are called once a worker, and what one worker has paid for, nobody pays again."""

import asyncio
import shutil
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from ops.admin.scrape import scrape
from ops.load.traffic import Answer
from tests.support.fixtures import Measured
from tests.support.pipeline import PARTITIONS, Pipeline, agent_on, request, wait_until
from tests.support.positions import end_offsets
from topics.names import CACHE_ENTRIES

pytestmark = pytest.mark.chaos


def same(request_id: str, question: str = "the same", **simulated: int) -> dict[str, Any]:
    """A request whose payload is that of every other one with this question."""
    value = request(request_id)
    value["payload"]["messages"] = [{"role": "user", "content": question}]
    value["payload"]["headrace_sim"] |= {"id": question, **simulated}
    return value


class Answers:
    """Responses as they were read, by request id."""

    def __init__(self) -> None:
        self.by_id: dict[str, dict[str, Any]] = {}

    def note(self, answer: Answer) -> None:
        self.by_id[answer.request_id] = orjson.loads(answer.value or b"{}")

    def cache(self, request_id: str) -> str:
        return str(self.by_id[request_id]["cache"])


async def test_a_thousand_identical_requests_cost_a_fleet_of_two_at_most_two_calls(
    pipeline: Pipeline, measured: Measured
) -> None:
    async with pipeline.fleet() as fleet, pipeline.traffic() as traffic:
        await fleet.start(2)
        await pipeline.wait_members(2, 60)
        for number in range(1000):
            await traffic.send("normal", f"agent-{number % 100}", same(f"same-{number}", latency_ms=500))
        assert await traffic.wait_answered(60)
        summary = traffic.ledger.summary()
        counts = [worker.cache for worker in (await scrape(fleet.workers)).values()]
    calls = pipeline.simulator.calls_by_id()["the same"]
    measured(f"{summary.ok} ok, {calls} provider calls; answered from {counts}")
    assert (summary.ok, summary.duplicates) == (1000, 0)
    assert calls <= 2


async def test_a_failing_call_is_tried_by_the_next_one_that_waits_for_it(pipeline: Pipeline) -> None:
    async with pipeline.fleet() as fleet, pipeline.traffic() as traffic:
        await fleet.start(1)
        for number in range(20):
            value = same(f"joined-{number}", "fails at first", latency_ms=300, status=500, fail_first=4)
            await traffic.send("normal", f"agent-{number}", value)
        assert await traffic.wait_answered(60)
        summary = traffic.ledger.summary()
    # Three attempts of the first leader fail, and the first one of the second; its next attempt answers all.
    assert (summary.error, summary.ok, summary.duplicates) == (1, 19, 0)
    assert pipeline.simulator.calls_by_id()["fails at first"] == 5


async def test_what_one_worker_has_paid_for_is_a_hit_on_the_other_within_a_second(
    pipeline: Pipeline, measured: Measured
) -> None:
    answers = Answers()
    async with pipeline.fleet() as fleet, pipeline.traffic(answers.note) as traffic:
        await fleet.start(2)
        (one, other) = (await pipeline.wait_members(2, 60)).values()
        took: list[float] = []
        for number in range(3):
            question = f"question {number}"
            await traffic.send("normal", agent_on(min(one)), same(f"paid-{number}", question))
            assert await traffic.wait_answered(60)
            began = time.monotonic()
            await asyncio.sleep(1.0)
            await traffic.send("normal", agent_on(min(other)), same(f"hit-{number}", question))
            assert await traffic.wait_answered(60)
            took.append(time.monotonic() - began)
            assert answers.cache(f"hit-{number}") == "disk"
        again = same("hit-0", "question 0")
        await traffic.send("normal", agent_on(max(other)), again, "again")
        assert await traffic.wait_answered(60)
    measured(
        f"asked again on the other worker after 1 s, answered from its disk {max(took):.2f} s after the first answer"
    )
    assert set(pipeline.simulator.calls_by_id().values()) == {1}


async def test_restarted_new_and_wiped_workers_are_warm(pipeline: Pipeline, measured: Measured) -> None:
    answers = Answers()
    questions = [f"question {number}" for number in range(50)]

    async def ask_all(run: str) -> set[str]:
        for number, question in enumerate(questions):
            await traffic.send("normal", f"agent-{number}", same(f"{run}-{number}", question))
        assert await traffic.wait_answered(60)
        return {answers.cache(f"{run}-{number}") for number in range(len(questions))}

    async with pipeline.fleet(kafka__session_timeout="3s") as fleet, pipeline.traffic(answers.note) as traffic:
        await fleet.start(1)
        assert await ask_all("first") == {"none"}
        await pipeline.wait_all_committed(60)  # else the records themselves come again, and are in memory then
        await fleet.replace(fleet.workers[0])
        assert await ask_all("restarted") == {"disk"}
        await fleet.workers[0].stop()
        shutil.rmtree(pipeline.directory / "cache")
        await fleet.start(1)
        assert await ask_all("wiped") == {"disk"}
        await fleet.start(1)
        await pipeline.wait_members(2, 60)
        assert await ask_all("with a new one") <= {"disk", "memory"}
    calls = pipeline.simulator.calls_by_id()
    measured(
        f"{len(questions)} questions asked 4 times of a worker restarted, wiped and joined: {sum(calls.values())} calls"
    )
    assert sum(calls.values()) == len(questions)


async def test_a_request_that_was_answered_is_not_paid_again_on_another_worker(pipeline: Pipeline) -> None:
    answers = Answers()
    value = request("again") | {"cache": {"mode": "off"}}
    async with pipeline.fleet(kafka__session_timeout="3s") as fleet, pipeline.traffic(answers.note) as traffic:
        await fleet.start(1)
        await traffic.send("normal", agent_on(0), value, "first send")
        assert await traffic.wait_answered(60)
        first = answers.by_id["again"]

        async def is_shared() -> bool:  # nothing waits for it but this test
            return sum((await end_offsets(pipeline.client_options, [CACHE_ENTRIES])).values()) > 0

        await wait_until(is_shared, 60)
        await fleet.replace(fleet.workers[0])
        await traffic.send("normal", agent_on(0), value, "second send")
        assert await traffic.wait_answered(60)
        second = answers.by_id["again"]
        await traffic.send("normal", agent_on(PARTITIONS - 1), value, "of another agent")
        assert await traffic.wait_answered(60)
    assert (first["cache"], second["cache"], second["payload"]) == ("none", "disk", first["payload"])
    assert answers.by_id["again"]["cache"] == "none"
    assert pipeline.simulator.calls_by_id()["again"] == 2


async def test_a_damaged_store_stops_a_worker_with_one_line_that_says_how_to_mend_it(pipeline: Pipeline) -> None:
    async with pipeline.fleet() as fleet:
        (worker,) = await fleet.start(1)
        await worker.stop()
        store: Path = pipeline.directory / "cache" / "slot-0"
        for path in await asyncio.to_thread(lambda: list(store.glob("MANIFEST-*"))):
            path.write_bytes(b"not a manifest")
        (damaged,) = await fleet.start(1, ready_within_s=None)
        assert await damaged.wait_ended(30)
        said = damaged.log_text().strip().splitlines()[-1]
    assert damaged.exit_code == 2
    assert "headrace cache rebuild" in said
