"""A quiet fleet sends a large request at once, and is charged by what its provider counts. Real brokers and workers, and a
provider that enforces it in a sliding window and in a token bucket.

With TEST_FULL=1 the limits are those of a minute; else the same rates in windows of 6 s, and requests a tenth as large.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ops.load.traffic import Answer, Traffic
from ops.processes.fleet import Fleet
from tests.chaos.test_limits import BYTES_PER_TOKEN, SCALE, WINDOW_S, limited
from tests.support.fixtures import FULL, Measured
from tests.support.pipeline import Pipeline, agent_on, wait_until
from tests.support.simulator import Simulator

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

SIZES = [int(tokens * SCALE) for tokens in ((20_000, 33_000, 46_000, 62_000, 80_000) if FULL else (20_000, 80_000))]
LIMIT_TOKENS = int(90_000 * SCALE)


def prompt(tokens: int, request_id: str) -> str:
    """A text of so many tokens, as the simulator counts them."""
    return request_id.ljust(tokens * BYTES_PER_TOKEN, "x")


async def ask(traffic: Traffic, answers: list[Answer], request_id: str, model: str, tokens: int, agent: str) -> float:
    """Send a request and wait for its good answer. When it was sent, in Unix seconds."""
    payload = {
        "model": model,
        "messages": [{"role": "user", "content": prompt(tokens, request_id)}],
        "max_tokens": 16,
        "headrace_sim": {"id": request_id, "completion_tokens": 8},
    }
    sent = time.time()
    await traffic.send("normal", agent, {"request_id": request_id, "cache": {"mode": "off"}, "payload": payload})

    async def is_answered() -> bool:
        return any(answer.request_id == request_id for answer in answers)

    await wait_until(is_answered, 30 + 6 * WINDOW_S)
    (answer,) = [answer for answer in answers if answer.request_id == request_id]
    assert answer.status == "ok", answer.value
    return sent


@pytest.mark.alone
async def test_a_large_request_is_dispatched_within_a_second_and_none_is_refused(
    pipeline: Pipeline, measured: Measured
) -> None:
    answers: list[Answer] = []
    directory = pipeline.directory / "bucket"
    directory.mkdir()
    async with Simulator(directory) as other:
        models = {"small": (pipeline.simulator, "sliding_window"), "large": (other, "token_bucket")}
        for simulator, kind in models.values():
            await simulator.configure(limit=kind, limit_tokens=LIMIT_TOKENS, limit_window_s=WINDOW_S, ttft_ms=50)
        async with (
            Fleet(limited(pipeline, other), pipeline.directory) as fleet,
            pipeline.traffic(answers.append) as traffic,
        ):
            await fleet.start(2)
            members = list((await pipeline.wait_members(2, 60)).values())
            for model in models:  # the fleet is known, and its limits with it
                await ask(traffic, answers, f"first-{model}", model, 10, agent_on(0))
            await asyncio.sleep(WINDOW_S)

            async def in_turn(model: str) -> list[float]:
                waited = []
                for number, tokens in enumerate(SIZES):
                    request_id, agent = f"{model}-{number}", agent_on(min(members[number % 2]))
                    sent = await ask(traffic, answers, request_id, model, tokens, agent)
                    arrived = {call.request_id: call.arrived_at for call in models[model][0].calls()}
                    waited.append(arrived[request_id] - sent)
                    await asyncio.sleep(WINDOW_S)
                return waited

            waits = dict(zip(models, await asyncio.gather(*map(in_turn, models)), strict=True))
            refused = {model: (await models[model][0].stats())["by_model"][model]["refused"] for model in models}
    for model, (_, kind) in models.items():
        in_ms = ", ".join(f"{tokens}: {wait * 1000:.0f}" for tokens, wait in zip(SIZES, waits[model], strict=True))
        measured(f"{kind}: ms to the provider by tokens {in_ms}; {refused[model]} refused")
    assert refused == dict.fromkeys(models, 0)
    assert max(max(found) for found in waits.values()) < 1.0


CALLS, PROMPT_TOKENS = 12, int(10_000 * SCALE)


def one_limited(pipeline: Pipeline, wire: str) -> Path:
    """Settings with one provider of that format, 40,000 tokens a minute, and requests that wait as long as they have to."""
    scaled: dict[str, object] = {} if FULL else {"limits.margin": "100ms", "limits.session_timeout": "3s"}
    path = pipeline.settings(
        **{
            "limits.window": f"{WINDOW_S:g}s",
            "queueing.timeout.normal": "600s",
            "kafka.session_timeout": "6s",
            **scaled,
        }
    )
    rule = 'rate_limit = { tokens = "40000/minute" }'
    text = path.read_text().replace(
        'rate_limit = { requests = "unlimited", tokens = "unlimited" }', f'{rule}\nformat = "{wire}"'
    )
    path.write_text(text)
    return path


@asynccontextmanager
async def twelve_at_once(pipeline: Pipeline, wire: str, *, counted: bool, agents: int = 1) -> AsyncIterator[float]:
    """Twelve requests of which 99 % of the prompt is cached, sent at once and answered: in how many seconds."""
    answers: list[Answer] = []
    await pipeline.simulator.configure(
        limit="sliding_window",
        limit_tokens=int(40_000 * SCALE),
        limit_window_s=WINDOW_S,
        limit_cached=counted,
        cached_share=0.99,
        ttft_ms=300,
    )
    async with (
        Fleet(one_limited(pipeline, wire), pipeline.directory) as fleet,
        pipeline.traffic(answers.append) as traffic,
    ):
        await fleet.start(1)
        await pipeline.wait_members(1, 60)
        await asyncio.sleep(2 if FULL else 1)  # its lease is there
        began = asyncio.get_running_loop().time()
        await asyncio.gather(
            *(
                ask(traffic, answers, f"c-{number}", "small", PROMPT_TOKENS, agent_on(number % agents))
                for number in range(CALLS)
            )
        )
        yield asyncio.get_running_loop().time() - began


@pytest.mark.alone
@pytest.mark.parametrize("agents", [1, 12])
async def test_cached_tokens_that_do_not_count_hold_nobody_up(
    pipeline: Pipeline, measured: Measured, agents: int
) -> None:
    async with twelve_at_once(pipeline, "anthropic", counted=False, agents=agents) as seconds:
        stats = await pipeline.simulator.stats()
    measured(f"{CALLS} answered in {seconds:.1f} s, {stats['by_model']['small']['refused']} refused")
    assert seconds < 10.0
    assert stats["by_model"]["small"] == {
        "requests": CALLS,
        "tokens": stats["by_model"]["small"]["tokens"],
        "refused": 0,
    }


@pytest.mark.long
async def test_cached_tokens_that_count_are_waited_for_and_none_is_refused(
    pipeline: Pipeline, measured: Measured
) -> None:
    async with twelve_at_once(pipeline, "openai", counted=True) as seconds:
        stats = await pipeline.simulator.stats()
    measured(f"{CALLS} answered in {seconds:.1f} s, {stats['by_model']['small']['refused']} refused")
    assert stats["by_model"]["small"]["refused"] == 0
    assert seconds > 2 * WINDOW_S - 1
