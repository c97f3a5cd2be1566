"""What a cancel ends, and what it leaves alone: gate, cache and flow as a worker has them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.pipeline import PendingRequest, error_outcome
from tests.support.requests import SampleSource, pending, until
from tests.unit.cancels.rig import OK, Rig, rigged


def ask(text: str, agent: str = "a", model: str = "small") -> PendingRequest:
    payload = {"messages": [{"role": "user", "content": text}]}
    return pending(agent=agent, model=model, payload=payload, source=SampleSource())


def embed(text: str) -> PendingRequest:
    made = pending(agent="a", payload={"input": text}, source=SampleSource())
    body = made.request.model_copy(update={"operation": "embeddings", "payload": {"model": "small", "input": [text]}})
    made.request = body
    return made


async def test_one_that_waits_is_answered_without_a_call_and_the_next_one_goes() -> None:
    async with rigged(small=1) as rig:
        called, waits, behind = ask("1"), ask("2"), ask("3")
        await rig.take(called, waits, behind)
        rig.cancel(waits)
        assert rig.delivered.type_of(waits) == "cancelled"
        rig.providers.end(called, OK)
        await rig.providers.wait_started(2)
        assert rig.providers.started == [called, behind]


async def test_the_call_of_one_that_is_called_is_closed_and_its_place_given_back() -> None:
    async with rigged(small=1) as rig:
        called = ask("1")
        await rig.take(called)
        rig.cancel(called)
        await until(lambda: rig.delivered.type_of(called))
        (outcome,) = rig.delivered.outcomes[called]
        assert (outcome.status, outcome.attempts, outcome.provider) == ("error", 1, "sim")
        assert outcome.error is not None
        assert not outcome.error.retryable
        assert (rig.providers.cancelled, rig.providers.released, rig.providers.free["small"]) == (1, 1, 1)
        assert rig.dispatch.in_flight == 0


async def test_a_call_that_has_not_begun_yet_is_not_made() -> None:
    async with rigged() as rig:
        request = ask("1")
        rig.gate.accept([request])
        await until(lambda: rig.dispatch.in_flight)
        rig.cancel(request)
        await rig.settle()
        assert rig.delivered.type_of(request) == "cancelled"
        assert rig.providers.released == 1
        assert rig.dispatch.in_flight == 0


async def test_a_call_that_others_have_joined_goes_on_for_them() -> None:
    async with rigged() as rig:
        leader, joined, late = ask("same"), ask("same", agent="b"), ask("same", agent="c")
        await rig.take(leader, joined)
        rig.cancel(leader)
        assert rig.delivered.type_of(leader) == "cancelled"
        assert rig.calls() == [leader.request_id]
        await rig.take(late)
        rig.providers.end(leader, OK)
        await until(lambda: rig.delivered.type_of(late))
        assert [rig.delivered.type_of(each) for each in (leader, joined, late)] == ["cancelled", "ok", "ok"]


async def test_a_call_that_went_on_for_others_is_closed_when_they_are_gone_too() -> None:
    async with rigged() as rig:
        leader, joined = ask("same"), ask("same", agent="b")
        await rig.take(leader, joined)
        rig.cancel(leader)
        rig.cancel(joined)
        await until(lambda: rig.providers.cancelled == 1)
        assert [rig.delivered.type_of(each) for each in (leader, joined)] == ["cancelled", "cancelled"]


async def test_one_that_comes_while_its_leaders_call_is_being_closed_gets_an_answer_of_its_own() -> None:
    async with rigged() as rig:
        leader, joined = ask("same"), ask("same", agent="b")
        await rig.take(leader)
        rig.cancel(leader)
        rig.stage._call([joined])  # before the call's task has come to its end
        await rig.providers.wait_started(2)
        rig.providers.end(joined, OK)
        await until(lambda: rig.delivered.type_of(joined))
        assert [rig.delivered.type_of(each) for each in (leader, joined)] == ["cancelled", "ok"]


async def test_a_failure_of_a_call_that_goes_on_is_not_the_cancelled_ones_answer() -> None:
    async with rigged() as rig:
        leader, joined = ask("same"), ask("same", agent="b")
        await rig.take(leader, joined)
        rig.cancel(leader)
        rig.providers.end(leader, error_outcome("provider_error", "400"))
        await until(lambda: rig.delivered.type_of(joined))
        assert [rig.delivered.type_of(each) for each in (leader, joined)] == ["cancelled", "provider_error"]


async def test_of_embeddings_that_share_a_call_only_the_cancelled_one_ends() -> None:
    async with rigged(small=0) as rig:
        first, second = embed("1"), embed("2")
        await rig.take(first, second)
        rig.open_route("small")
        await rig.providers.wait_started(1)
        rig.cancel(first)
        assert rig.delivered.type_of(first) == "cancelled"
        rig.providers.end(rig.providers.started[0], error_outcome("provider_error", "no"))
        await until(lambda: rig.calls() == [second.request_id])  # the failed call is taken apart, without the first
        rig.cancel(second)
        await until(lambda: rig.delivered.type_of(second))
        assert rig.providers.cancelled == 1


async def test_embeddings_that_share_a_call_and_are_all_cancelled_are_not_called_again() -> None:
    async with rigged() as rig:
        first, second = embed("1"), embed("2")
        await rig.take(first, second)
        await rig.providers.wait_started(1)
        rig.cancel(first)
        rig.cancel(second)
        await until(lambda: rig.delivered.type_of(second))
        assert [rig.delivered.type_of(each) for each in (first, second)] == ["cancelled", "cancelled"]
        assert (rig.providers.cancelled, len(rig.providers.started)) == (1, 1)


async def test_a_cancel_that_comes_first_holds_for_the_request_that_comes_later() -> None:
    async with rigged() as rig:
        request = ask("1")
        rig.cancel(request)
        await rig.take(request)
        assert rig.delivered.type_of(request) == "cancelled"
        assert rig.providers.started == []


async def test_one_that_is_cancelled_while_the_disk_is_asked_is_not_called() -> None:
    async with rigged() as rig:
        request = ask("1")
        rig.gate.accept([request])
        rig.cancel(request)
        await rig.settle()
        assert rig.delivered.type_of(request) == "cancelled"
        assert rig.providers.started == []


async def test_one_that_is_answered_stays_answered_and_unknown_ids_cost_nothing() -> None:
    async with rigged() as rig:
        request = ask("1")
        await rig.take(request)
        rig.providers.end(request, OK)
        await until(lambda: rig.delivered.type_of(request))
        rig.cancel(request)
        rig.cancel(ask("never sent"))
        assert rig.delivered.type_of(request) == "ok"
        assert len(rig.stage.unanswered) == 0


steps = st.lists(
    st.tuples(st.sampled_from(["come", "cancel", "answer", "fail", "turn"]), st.integers(0, 7)), max_size=40
)


@pytest.mark.parametrize("kind", ["chat", "embeddings"])
def test_whenever_a_request_is_cancelled_it_has_exactly_one_answer(kind: str) -> None:
    """Eight requests of four questions, that come, are cancelled and have their calls ended in any order."""

    @settings(max_examples=150, deadline=None)
    @given(steps)
    def check(plan: Sequence[tuple[str, int]]) -> None:
        asyncio.run(_live(kind, plan))

    check()


async def _live(kind: str, plan: Sequence[tuple[str, int]]) -> None:
    async with rigged(small=2) as rig:
        made = [ask(f"{n % 4}", agent=f"a{n}") if kind == "chat" else embed(f"{n}") for n in range(8)]
        sources = [each.source for each in made]
        came, asked = set[int](), dict[int, bool]()
        for action, number in plan:
            await _step(rig, made, came, asked, action, number)
        await _let_all_end(rig, [made[number] for number in came])
        for number in came:
            request = made[number]
            assert rig.delivered.type_of(request)  # one answer, not two: see there
            assert sources[number].finished == [0]  # type: ignore[attr-defined]
            answered_before = asked.get(number)
            if number not in asked:
                assert rig.delivered.type_of(request) != "cancelled"
            elif not answered_before:
                assert rig.delivered.type_of(request) == "cancelled"
        assert len(rig.stage.unanswered) == 0
        assert rig.stage.unanswered._left == set()
        assert (rig.dispatch.in_flight, sum(rig.dispatch.waiting().values())) == (0, 0)
        assert rig.providers.free["small"] == 2


async def _step(
    rig: Rig, made: Sequence[PendingRequest], came: set[int], asked: dict[int, bool], action: str, number: int
) -> None:
    request = made[number]
    if action == "come" and number not in came:
        came.add(number)
        rig.gate.accept([request])
    elif action == "cancel":
        asked.setdefault(number, bool(rig.delivered.type_of(request)))
        rig.cancel(request)
    elif action in ("answer", "fail") and rig.providers.under_way:
        called = list(rig.providers.under_way)[number % len(rig.providers.under_way)]
        if not rig.providers.under_way[called].done():
            rig.providers.end(called, OK if action == "answer" else error_outcome("provider_error", "no"))
    elif action == "turn":
        await rig.settle()


async def _let_all_end(rig: Rig, came: Sequence[PendingRequest]) -> None:
    await rig.settle()
    async with asyncio.timeout(60):
        while not all(rig.delivered.type_of(request) for request in came) or rig.providers.under_way:
            for called, end in list(rig.providers.under_way.items()):
                if not end.done():
                    rig.providers.end(called, error_outcome("provider_error", "no"))
            await rig.settle()
    for _ in range(3):
        await rig.settle()
