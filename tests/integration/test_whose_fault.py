"""Whose fault a failure is, over real HTTP: a bad endpoint costs calls and not answers, a bad model costs no other one."""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from email.utils import formatdate
from typing import Any

import pytest

from streams.flow.dispatch import Dispatch
from streams.pipeline import Busy
from tests.integration.fault_rig import (
    BAD,
    WELL,
    Timed,
    asking,
    call_all,
    endpoints,
    error_of,
    rig_of,
)
from tests.integration.provider_rig import ask
from tests.support.fixtures import FULL, Measured
from tests.support.requests import rules, until
from tests.support.scripted_upstream import Reply, completion, upstream
from tests.support.stopwatch import Stopwatch

# ---- one of two endpoints is bad


@pytest.mark.parametrize("algorithm", ["round_robin", "least_connections", "weighted", "affinity"])
@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
async def test_a_bad_endpoint_costs_no_answer_and_draws_no_traffic(bad: Reply, algorithm: str) -> None:
    async with upstream(bad) as one, upstream(Reply(200, completion(), after_s=0.01)) as other:
        tables = [{"name": "p", "endpoints": endpoints(one, other)}]
        async with rig_of(tables, routing={"algorithm": algorithm}) as rig:
            outcomes = await call_all(rig, 200, 8, lambda n: asking(agent=f"agent-{n % 20}"))
    assert [outcome.status for outcome in outcomes] == ["ok"] * 200
    assert len(one.calls) <= 15, f"ten to find out, five a minute later on: {len(one.calls)}"


@pytest.mark.parametrize("bad", ["401", "402", "404", "524", "a page", "hangs up"])
async def test_a_bad_provider_before_a_good_one_is_passed_over(bad: str) -> None:
    async with (
        upstream(BAD[bad]) as one,
        upstream(WELL) as other,
        rig_of([{"name": "a", "endpoints": endpoints(one)}, {"name": "b", "endpoints": endpoints(other)}]) as rig,
    ):
        outcomes = await call_all(rig, 40, 1, lambda n: asking())
    assert [(outcome.status, outcome.provider) for outcome in outcomes] == [("ok", "b")] * 40
    assert len(one.calls) <= 6


@pytest.mark.parametrize("of", ["one provider", "two providers"])
async def test_a_retry_waits_for_the_good_one_that_is_full_and_does_not_fail_where_it_failed_before(of: str) -> None:
    one_slot = {"connections": {"max": 2, "per_host": 1}}
    async with upstream(Reply(200, completion(), after_s=0.4)) as good, upstream(BAD["524"]) as bad:
        tables = [{"name": "p", "endpoints": endpoints(good, bad), **one_slot}]
        if of == "two providers":
            tables = [
                {"name": name, "endpoints": endpoints(each), **one_slot} for name, each in (("p", good), ("q", bad))
            ]
        async with rig_of(tables) as rig:
            outcomes = await call_all(rig, 2, 2, lambda n: asking(agent=f"agent-{n}"))
    assert [outcome.status for outcome in outcomes] == ["ok"] * 2
    assert len(bad.calls) <= 2


async def test_where_all_endpoints_are_bad_the_answer_says_which_failed_with_what() -> None:
    async with (
        upstream(BAD["401"]) as one,
        upstream(BAD["524"]) as other,
        rig_of([{"name": "a", "endpoints": endpoints(one)}, {"name": "b", "endpoints": endpoints(other)}]) as rig,
    ):
        (outcome,) = await call_all(rig, 1, 1, lambda n: asking())
    message = error_of(outcome).message
    for upstream_, said in ((one, "answered 401: Incorrect API key"), (other, "answered 524")):
        host = upstream_.url.removeprefix("http://").removesuffix("/v1")
        assert f"({host}): the provider {said}" in message
    assert error_of(outcome).retryable


async def test_where_every_key_is_refused_requests_are_answered_at_once_and_nobody_is_called() -> None:
    async with upstream(BAD["401"]) as one, rig_of([{"name": "p", "endpoints": endpoints(one)}]) as rig:
        outcomes = await call_all(rig, 20, 1, lambda n: asking())
    assert {error_of(outcome).type for outcome in outcomes[1:]} == {"provider_unavailable"}
    assert "its key is refused, set aside for" in error_of(outcomes[-1]).message
    assert "Incorrect API key" in error_of(outcomes[-1]).message
    assert len(one.calls) == 1


async def test_a_key_that_works_again_is_found_out_by_one_call() -> None:
    broken = [True]
    async with upstream(lambda _: BAD["401"] if broken[0] else WELL) as one:
        breaker = {"refused_for": "200ms"}
        async with rig_of([{"name": "p", "endpoints": endpoints(one)}], routing={"breaker": breaker}) as rig:
            await call_all(rig, 3, 1, lambda n: asking())
            broken[0] = False
            await asyncio.sleep(0.25)
            outcomes = await call_all(rig, 8, 8, lambda n: asking())
    assert [outcome.status for outcome in outcomes] == ["ok"] * 8


# ---- a bad model behind a good endpoint


async def test_a_dead_model_behind_a_gateway_costs_a_good_one_nothing() -> None:
    def gateway(body: dict[str, Any]) -> Reply:
        return Reply(500, {"error": {"message": "no worker"}}) if body["model"] == "dead" else WELL

    async with upstream(gateway) as one, rig_of([{"name": "p", "endpoints": endpoints(one)}]) as rig:
        dead = await call_all(rig, 10, 5, lambda n: asking("dead"))
        assert isinstance(ask(rig.providers, asking("dead")), Busy)
        assert [outcome.status for outcome in await call_all(rig, 50, 5, lambda n: asking("good"))] == ["ok"] * 50
    assert {outcome.status for outcome in dead} == {"error"}


@pytest.mark.alone
async def test_a_dead_model_beside_a_good_one_behind_one_gateway_and_one_agent(measured: Measured) -> None:
    """One request a second for the dead one, four for the good one; the agent and its turns are the same."""
    seconds = 60 if FULL else 6

    def gateway(body: dict[str, Any]) -> Reply:
        if body["model"] == "dead":
            return Reply(500, {"error": {"message": "no worker"}}, after_s=0.05)
        return Reply(200, completion(), after_s=0.05)

    async with upstream(gateway) as one, rig_of([{"name": "p", "endpoints": endpoints(one)}]) as rig:
        answered = Timed()
        dispatch = Dispatch(rules(most_in_flight=100), rig.providers, answered, time.time, time.monotonic)
        try:
            alone = await answered.rate(dispatch, {"good": 4}, 5)
            beside = await answered.rate(dispatch, {"good": 4, "dead": 1}, seconds)
        finally:
            await dispatch.stop()
    good = [took_s for model, status, took_s in beside if model == "good" and status == "ok"]
    p95_alone, p95_beside = (statistics.quantiles(took, n=20)[-1] for took in ([each[2] for each in alone], good))
    dead_calls = sum(seen.body["model"] == "dead" for seen in one.calls)
    measured(
        f"good {len(good)} of {4 * seconds}, p95 {p95_beside * 1000:.0f} ms, alone {p95_alone * 1000:.0f} ms; "
        f"{dead_calls} calls of the dead one for {seconds} requests"
    )
    assert len(good) == 4 * seconds
    assert p95_beside <= 2 * p95_alone


async def test_an_expired_request_says_why_its_endpoints_got_no_calls() -> None:
    async with upstream(BAD["524"]) as one, rig_of([{"name": "p", "endpoints": endpoints(one)}]) as rig:
        await call_all(rig, 10, 10, lambda n: asking())
        answered = Timed()
        dispatch = Dispatch(rules(most_in_flight=100), rig.providers, answered, time.time, time.monotonic)
        try:
            late = asking()
            late.dispatch_by = time.time() + 0.3
            dispatch.accept([late])
            await until(lambda: answered.outcomes)
        finally:
            await dispatch.stop()
    message = error_of(answered.outcomes[0]).message
    assert re.match(r"the time limit passed in the queue after \d+\.\d s; p \(127\.0\.0\.1:", message)
    assert "its calls fail, set aside for" in message
    assert "answered 524" in message


async def test_requests_that_fail_everywhere_open_nothing_for_others() -> None:
    def picky(body: dict[str, Any]) -> Reply:
        return Reply(500, {"error": {"message": "cannot"}}) if body.get("poison") else WELL

    async with (
        upstream(picky) as one,
        upstream(picky) as other,
        rig_of([{"name": "p", "endpoints": endpoints(one, other)}]) as rig,
    ):
        outcomes = await call_all(rig, 60, 4, lambda n: asking(poison=n % 4 == 0))
        assert [endpoint.health.state for endpoint in rig.endpoints] == ["healthy", "healthy"]
    assert [outcome.status for outcome in outcomes] == ["error" if n % 4 == 0 else "ok" for n in range(60)]


# ---- waits bind who said them


@pytest.mark.parametrize(
    "headers",
    [
        {"retry-after": "3600"},
        {"retry-after-ms": "3600000"},
        {"x-ms-retry-after-ms": "3600000"},  # Azure
        {"llm_provider-retry-after": "3600"},  # an upstream's, as LiteLLM's proxy hands it on
    ],
    ids=lambda headers: next(iter(headers)),
)
async def test_a_wait_binds_the_endpoint_that_asked_for_it_and_another_answers_at_once(headers: dict[str, str]) -> None:
    async with (
        upstream(Reply(429, {"error": {"message": "slow down"}}, headers)) as one,
        upstream(WELL) as other,
        rig_of([{"name": "p", "endpoints": endpoints(one, other)}]) as rig,
    ):
        watch = Stopwatch()
        outcomes = await call_all(rig, 20, 1, lambda n: asking())
        took_s = watch.running_s
    assert [outcome.status for outcome in outcomes] == ["ok"] * 20
    assert (len(one.calls), took_s < 20) == (1, True)


async def test_a_wait_until_a_date_is_waited_for_where_there_is_nobody_else() -> None:
    replies = iter([Reply(503, {}, {"retry-after": formatdate(time.time() + 2, usegmt=True)}), WELL])
    async with upstream(lambda _: next(replies)) as one, rig_of([{"name": "p", "endpoints": endpoints(one)}]) as rig:
        (outcome,) = await call_all(rig, 1, 1, lambda n: asking())
    assert outcome.status == "ok"
    assert one.calls[1].at - one.calls[0].at >= 0.9


# ---- answers that are none


async def test_what_cannot_be_read_is_bought_once_more_at_most_and_elsewhere() -> None:
    cut_off = Reply(200, b'{"choices": [{"message": {"content": "half')
    async with upstream(cut_off) as one, upstream(WELL) as other:
        async with rig_of([{"name": "p", "endpoints": endpoints(one, other)}]) as rig:
            (outcome,) = await call_all(rig, 1, 1, lambda n: asking())
        assert (outcome.status, len(one.calls), len(other.calls)) == ("ok", 1, 1)
    async with upstream(cut_off) as one:
        async with rig_of([{"name": "p", "endpoints": endpoints(one)}]) as rig:
            (outcome,) = await call_all(rig, 1, 1, lambda n: asking())
        assert (outcome.status, len(one.calls)) == ("error", 2)
