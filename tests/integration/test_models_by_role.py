"""Models by role, fallbacks and windows; what the settings say of failures."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.integration.fault_rig import (
    BAD,
    RETRY,
    WELL,
    asking,
    call_all,
    endpoints,
    error_of,
    rig_of,
)
from tests.support.scripted_upstream import Reply, upstream

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
