"""Whose fault a failure is, over real HTTP: a bad endpoint costs calls and not answers, a bad model costs no other one."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from email.utils import formatdate
from typing import Any

import pytest

from schemas.response import WireError
from streams.flow.dispatch import Dispatch
from streams.pipeline import Busy, Outcome, PendingRequest
from streams.providers.build import open_providers
from streams.settings import Settings
from tests.chaos.fixtures import FULL, Measured, measured
from tests.integration.provider_rig import Rig, ask
from tests.support.scripted_upstream import HANG_UP, Reply, Upstream, completion, upstream
from tests.unit.flow.samples import pending, rules, until

__all__ = ["measured"]

WELL = Reply(200, completion())
UNLIMITED = {"requests": "unlimited", "tokens": "unlimited"}
RETRY = {"base_delay": "20ms", "max_delay": "50ms"}

BAD: dict[str, Reply] = {
    "401": Reply(401, {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}),
    "402": Reply(402, {"error": {"message": "Insufficient credits", "code": 402}}),
    "403": Reply(403, {"error": {"message": "forbidden"}}),
    "404": Reply(404, {"error": {"message": "The model `m` does not exist", "code": "model_not_found"}}),
    "404 of a proxy": Reply(404, b"<html><title>Not Found</title></html>", {"content-type": "text/html"}),
    "524": Reply(524, b"<html><title>524: A timeout occurred</title></html>", {"content-type": "text/html"}),
    "a page": Reply(200, b"<!doctype html><title>Sign in</title>", {"content-type": "text/html"}),
    "an error in 200": Reply(200, {"error": {"message": "upstream disconnected", "code": 502}}),
    "no credit in 429": Reply(429, {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}),
    "hangs up": HANG_UP,
}


@asynccontextmanager
async def rig_of(providers: Sequence[dict[str, Any]], **sections: Any) -> AsyncIterator[Rig]:
    """Real providers with these tables, and sections of settings."""
    tables = [{"rate_limit": UNLIMITED, "retry": RETRY} | table for table in providers]
    settings = Settings.model_validate({"providers": tables, **sections})
    async with AsyncExitStack() as stack:
        rig = Rig(await open_providers(settings, stack))
        yield rig
        rig.assert_everything_is_back()


def endpoints(*upstreams: Upstream) -> list[dict[str, Any]]:
    return [{"url": each.url} for each in upstreams]


def asking(model: str = "m", agent: str = "a", **payload: Any) -> Any:
    return pending(agent=agent, model=model, payload=payload)


async def call_all(rig: Rig, count: int, at_a_time: int, make: Callable[[int], Any]) -> list[Outcome]:
    """So many requests, so many at a time; one that has to wait asks again."""
    places = asyncio.Semaphore(at_a_time)

    async def one(number: int) -> Outcome:
        async with places:
            request = make(number)
            while True:
                found = ask(rig.providers, request)
                if not isinstance(found, Busy):
                    break
                await asyncio.sleep(0.005)
            if isinstance(found, Outcome):
                return found
            try:
                return await found.call(request)
            finally:
                found.release()

    return await asyncio.gather(*map(one, range(count)))


class Timed:
    """The end of the pipeline: what became of each request, and after how long."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self._done: list[tuple[str, str, float]] = []

    def respond(self, request: PendingRequest, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self._done.append((request.request.payload["model"], outcome.status, time.time() - request.received_at))

    def abandon(self, request: PendingRequest) -> None:
        raise AssertionError("nothing moves here")

    async def rate(self, dispatch: Dispatch, per_s: dict[str, int], seconds: int) -> list[tuple[str, str, float]]:
        """So many requests of each model a second, by one agent: model, status and seconds of each that was answered."""
        self._done = []
        began, moments = (
            time.time(),
            [(n / rate, model) for model, rate in per_s.items() for n in range(rate * seconds)],
        )
        for at, model in sorted(moments):
            await asyncio.sleep(max(0.0, began + at - time.time()))
            now = time.time()
            request = asking(model)
            request.received_at, request.dispatch_by = now, now + 30
            dispatch.accept([request])
        await until(lambda: sum(model != "dead" for model, _, _ in self._done) >= per_s["good"] * seconds, 35)
        return self._done


def error_of(outcome: Outcome) -> WireError:
    assert outcome.error is not None
    return outcome.error


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
    assert message.startswith("the time limit passed in the queue; p (127.0.0.1:")
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
        began = time.monotonic()
        outcomes = await call_all(rig, 20, 1, lambda n: asking())
        took_s = time.monotonic() - began
    assert [outcome.status for outcome in outcomes] == ["ok"] * 20
    assert (len(one.calls), took_s < 2) == (1, True)


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


# ---- models by role


async def test_a_name_is_what_each_vendor_calls_it_and_fails_over_between_them() -> None:
    async with upstream(BAD["524"]) as one, upstream(WELL) as other:
        tables = [
            {"name": "a", "models": {"smart": "model-x", "smart-*": "x/*"}, "endpoints": endpoints(one)},
            {"name": "b", "models": {"smart*": "model-y"}, "endpoints": endpoints(other)},
        ]
        async with rig_of(tables) as rig:
            outcomes = await call_all(rig, 2, 1, lambda n: asking(("smart", "smart-2024")[n]))
            assert rig.providers.mapping("smart") == b"a=model-x\nb=model-y"
            assert rig.providers.mapping("other") == b""
    assert [(outcome.status, outcome.provider, outcome.model) for outcome in outcomes] == [("ok", "b", "model-y")] * 2
    assert [seen.body["model"] for seen in one.calls] == ["model-x", "x/2024"]
    assert {seen.body["model"] for seen in other.calls} == {"model-y"}


TOO_LONG = Reply(400, {"error": {"message": "too long", "code": "context_length_exceeded"}})


@pytest.mark.parametrize(
    "failure", [TOO_LONG, BAD["401"], BAD["404"], BAD["524"]], ids=["too long", "401", "404", "524"]
)
async def test_a_fallback_stands_in_where_the_window_is_too_small_or_all_targets_are_down(failure: Reply) -> None:
    async with upstream(lambda body: failure if body["model"] == "small" else WELL) as one:
        rules = [{"match": "small", "fallbacks": ["none-serves-it", "large"]}]
        tables = [{"name": "p", "models": ["small"], "endpoints": endpoints(one)}]
        async with upstream(WELL) as other:
            tables.append({"name": "q", "models": ["large"], "endpoints": endpoints(other)})
            async with rig_of(tables, routing={"models": rules}) as rig:
                outcomes = await call_all(rig, 8, 1, lambda n: asking("small"))
    assert [(outcome.status, outcome.provider, outcome.model) for outcome in outcomes] == [("ok", "q", "large")] * 8
    assert not any(outcome.shareable for outcome in outcomes)


async def test_a_request_that_is_too_long_goes_to_another_providers_window_first() -> None:
    async with upstream(TOO_LONG) as one, upstream(WELL) as other:
        tables = [{"name": "a", "endpoints": endpoints(one)}, {"name": "b", "endpoints": endpoints(other)}]
        async with rig_of(tables) as rig:
            outcomes = await call_all(rig, 3, 1, lambda n: asking())
    assert [outcome.provider for outcome in outcomes] == ["b"] * 3
    assert len(one.calls) == 3  # it sets nobody aside


async def test_a_target_whose_window_is_too_small_is_not_called_at_all() -> None:
    async with upstream(WELL) as one, upstream(WELL) as other:
        tables = [
            {"name": "a", "endpoints": endpoints(one), "context_windows": {"m": 1000}},
            {"name": "b", "endpoints": endpoints(other), "context_windows": {"other": 10, "*": 200_000}},
        ]
        async with rig_of(tables) as rig:
            long = [{"role": "user", "content": "word " * 10_000}]
            outcomes = await call_all(rig, 2, 1, lambda n: asking(messages=long) if n else asking())
            (too_long,) = await call_all(rig, 1, 1, lambda n: asking(messages=long * 60))
    assert [outcome.provider for outcome in outcomes] == ["a", "b"]
    assert (error_of(too_long).type, len(one.calls), len(other.calls)) == ("exceeds_limit", 1, 1)


async def test_a_request_that_is_too_long_for_all_is_refused_for_good() -> None:
    async with upstream(TOO_LONG) as one, rig_of([{"name": "p", "endpoints": endpoints(one)}]) as rig:
        (outcome,) = await call_all(rig, 1, 1, lambda n: asking())
        assert rig.endpoints[0].health.state == "healthy"
    assert (error_of(outcome).retryable, len(one.calls)) == (False, 1)


async def test_a_provider_whose_format_cannot_say_it_is_passed_over_at_first_choice_and_at_failover() -> None:
    several: dict[str, Any] = {"n": 3}
    async with upstream(WELL) as one, upstream(BAD["524"]) as two, upstream(WELL) as three:
        tables = [
            {"name": "first", "format": "anthropic", "endpoints": endpoints(one)},
            {"name": "second", "endpoints": endpoints(two)},
            {"name": "third", "format": "anthropic", "endpoints": endpoints(one)},
            {"name": "fourth", "endpoints": endpoints(three)},
        ]
        async with rig_of(tables) as rig:
            (outcome,) = await call_all(rig, 1, 1, lambda n: asking(**several))
    assert (outcome.status, outcome.provider, len(one.calls)) == ("ok", "fourth", 0)


# ---- what the settings say


async def test_a_provider_can_say_what_is_worth_another_one_and_what_is_final() -> None:
    filtered = Reply(400, {"error": {"message": "filtered", "code": "content_filter"}})
    async with upstream(filtered) as one, upstream(WELL) as other:
        changes: tuple[tuple[dict[str, Any], str], ...] = (
            ({}, "error"),
            ({"failover": {"on": ["content_filter"]}}, "ok"),
        )
        for table, wanted in changes:
            tables = [
                {"name": "a", "endpoints": endpoints(one)} | table,
                {"name": "b", "endpoints": endpoints(other)},
            ]
            async with rig_of(tables) as rig:
                (outcome,) = await call_all(rig, 1, 1, lambda n: asking())
            assert outcome.status == wanted
    async with upstream(Reply(503, {})) as one, upstream(WELL) as other:
        tables = [
            {"name": "a", "endpoints": endpoints(one), "fatal": {"on": [503]}},
            {"name": "b", "endpoints": endpoints(other)},
        ]
        async with rig_of(tables) as rig:
            (outcome,) = await call_all(rig, 1, 1, lambda n: asking())
        assert (outcome.status, error_of(outcome).retryable, len(other.calls)) == ("error", False, 0)


async def test_a_dead_letter_is_made_of_what_failed_by_the_endpoints_fault_in_all_attempts() -> None:
    async with upstream(BAD["401"]) as one, upstream(Reply(400, {"error": {"message": "wrong"}})) as other:
        found = []
        for each in (one, other):
            retry: dict[str, Any] = RETRY | {"dead_letter": True}
            async with rig_of([{"name": "p", "endpoints": endpoints(each), "retry": retry}]) as rig:
                (outcome,) = await call_all(rig, 1, 1, lambda n: asking())
            found.append(outcome.dead_letter)
    assert found == [True, False]


async def test_more_bad_endpoints_than_attempts_do_not_fail_a_request_while_a_good_one_is_left() -> None:
    async with AsyncExitStack() as stack:
        bad = [await stack.enter_async_context(upstream(BAD[name])) for name in ("401", "402", "404", "403")]
        good = await stack.enter_async_context(upstream(WELL))
        async with rig_of([{"name": "p", "endpoints": endpoints(*bad, good)}]) as rig:
            outcomes = await call_all(rig, 4, 1, lambda n: asking())
    assert [outcome.status for outcome in outcomes] == ["ok"] * 4
