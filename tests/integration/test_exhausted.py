"""Requests whose retries are used up, on a real broker: answered, kept as dead letters, and sent again."""

from __future__ import annotations

from ops.load.traffic import Answer
from ops.processes.fleet import Fleet
from schemas.dead_letter import DeadLetter
from tests.support.cli import headrace
from tests.support.pipeline import Pipeline, request, wait_until

QUICK = 'retry = { dead_letter = true, max_attempts = 2, base_delay = "10ms" }'


async def test_an_exhausted_request_is_answered_kept_and_answered_well_when_sent_again(pipeline: Pipeline) -> None:
    answers: list[Answer] = []
    settings = pipeline.settings()
    settings.write_text(f"{settings.read_text()}{QUICK}\n")

    def ends(status: str) -> list[str]:
        return sorted(answer.request_id for answer in answers if answer.status == status)

    async with Fleet(settings, pipeline.directory) as fleet, pipeline.traffic(on_answer=answers.append) as traffic:
        await fleet.start(1)
        for number in range(6):
            failing = {"status": 500, "fail_first": 2} if number % 2 else {}
            await (await traffic.send("normal", f"agent-{number}", request(f"r-{number}", **failing)))

        async def all_ended() -> bool:
            return len(answers) >= 9

        await wait_until(all_ended, 60)
        await pipeline.wait_all_committed(60)
        failed = ["r-1", "r-3", "r-5"]
        assert (ends("ok"), ends("error"), ends("dead")) == (["r-0", "r-2", "r-4"], failed, failed)
        letters = [DeadLetter.from_headers(answer.headers) for answer in answers if answer.status == "dead"]
        assert {
            (each.dlq_reason, each.dlq_stage, each.dlq_error_type, each.dlq_attempts, each.dlq_topic)
            for each in letters
        } == {("exhausted", "providers", "provider_error", 2, "agent.requests.normal")}

        replayed = await headrace("dlq", "replay", "--reason", "exhausted", "--yes", settings=settings)
        assert "3 sent" in replayed.out

        async def all_are_well() -> bool:
            return ends("ok") == [f"r-{number}" for number in range(6)]

        await wait_until(all_are_well, 60)
        await pipeline.wait_all_committed(60)
    assert (ends("error"), ends("dead")) == (failed, failed)
