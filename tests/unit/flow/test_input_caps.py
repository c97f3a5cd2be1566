"""A provider that takes only so many inputs a call: everybody gets their vectors, and the number is learnt once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.flow.dispatch import Dispatch
from streams.flow.input_caps import FORGET_AFTER_S, InputCaps
from streams.flow.rules import FlowRules
from streams.limits import Route
from streams.pipeline import Busy, Outcome, PendingRequest, error_outcome
from tests.support.requests import rules
from tests.unit.flow.test_dispatch import Answered
from tests.unit.flow.test_merge import answer_to, embedding, inputs_of

REFUSALS = {
    # what providers say, and how many they take, by public report
    "jjyaoao/HelloAgents#27 (DashScope)": ("<400> batch size is invalid, it should not be larger than 10", 10),
    "n4ze3m/page-assist#371 (DashScope)": ("<400> batch size is invalid, it should not be larger than 20", 20),
    "n4ze3m/page-assist#371 (SiliconFlow)": ("input batch size 473 > maximum allowed batch size 64", 64),
    "Cohere's documentation": ("invalid request: total number of texts must be at most 96", 96),
    "Gemini's documentation": ("at most 25 requests can be in one batch", 25),
    "in no words": ("Bad Request", 16),
    "one at a time (Titan on Bedrock)": ("Malformed input request", 1),
}


FAST = rules(rate_per_s=1e6, burst=10_000)
"""Admission is no part of this."""


class Capped:
    """Ten calls at a time; refuses more than `cap` inputs a call, and every call with an input of `bad`."""

    def __init__(self, cap: int, bad: Sequence[str] = (), message: str = "no") -> None:
        self.cap, self.bad, self.message = cap, set(bad), message
        self.sizes: list[int] = []
        self.refusals = 0
        self._free = 10
        self._tell: Callable[[Route], None] = lambda _: None

    def on_room(self, tell: Callable[[Route], None]) -> None:
        self._tell = tell

    def route(self, request: PendingRequest) -> Route | Outcome:
        return Route("p", "e")

    def why_not(self, request: PendingRequest) -> str:
        return ""

    def reserve(self, request: PendingRequest) -> Capped | Busy:
        if not self._free:
            return Busy("route")
        self._free -= 1
        return self

    async def call(self, request: PendingRequest) -> Outcome:
        await asyncio.sleep(0.001)
        inputs = inputs_of(request)
        self.sizes.append(len(inputs))
        if len(inputs) > self.cap or self.bad.intersection(map(str, inputs)):
            self.refusals += 1
            return Outcome("error", error=error_outcome("provider_error", f"400: {self.message}").error, attempts=1)
        return answer_to(request)

    def attending(self) -> None: ...

    def cut_off(self, outcome: Outcome) -> Outcome:
        return outcome

    def release(self) -> None:
        self._free += 1
        self._tell(Route("p", "e"))


class Rounds:
    """One dispatch that is asked several times."""

    def __init__(self, provider: Capped, flow: FlowRules | None = None) -> None:
        self.provider = provider
        self._answered = Answered()
        self._dispatch = Dispatch(flow or FAST, provider, self._answered, lambda: 1000.0, time.monotonic)

    async def ask(self, inputs: Sequence[Any]) -> tuple[dict[str, str], int, int]:
        """Status by input, calls, refused calls."""
        answered, calls, refusals = len(self._answered.outcomes), len(self.provider.sizes), self.provider.refusals
        requests = [embedding(each, agent=f"a{n % 25}") for n, each in enumerate(inputs)]
        self._dispatch.accept(requests)
        await self._answered.wait(answered + len(requests))
        found = self._answered.outcomes[answered:]
        for request, outcome in found:
            if outcome.status == "ok":
                assert outcome.payload is not None
                alone = answer_to(request).payload
                assert sorted_data(outcome.payload) == sorted_data(alone)
        statuses: dict[str, str] = {str(request.request.payload["input"]): outcome.status for request, outcome in found}
        return statuses, len(self.provider.sizes) - calls, self.provider.refusals - refusals

    async def stop(self) -> None:
        await self._dispatch.stop()


def sorted_data(payload: bytes | None) -> list[Any]:
    return sorted(orjson.loads(payload or b"")["data"], key=lambda entry: entry["index"])


HUNDRED = [str(n) for n in range(100)]


@pytest.mark.parametrize(("message", "cap"), REFUSALS.values(), ids=REFUSALS)
async def test_what_a_provider_takes_is_learnt_from_the_first_hundred(message: str, cap: int) -> None:
    rounds = Rounds(Capped(cap, message=message))
    statuses, calls, refusals = await rounds.ask(HUNDRED)
    assert set(statuses.values()) == {"ok"}
    assert refusals <= 12
    assert calls <= -(-100 // cap) + 2 * refusals
    statuses, calls, refusals = await rounds.ask(HUNDRED)
    await rounds.stop()
    assert (set(statuses.values()), refusals) == ({"ok"}, 0)
    assert calls <= -(-100 // cap) + 1


async def test_one_bad_input_teaches_nothing() -> None:
    rounds = Rounds(Capped(1000, bad=["37", "38"]))
    statuses, calls, _ = await rounds.ask(HUNDRED)
    assert sorted(each for each, status in statuses.items() if status != "ok") == ["37", "38"]
    assert calls <= 2 + 2 * 2 * 7
    _, calls, _ = await rounds.ask([f"again {n}" for n in range(100)])
    await rounds.stop()
    assert calls == 1


async def test_where_nothing_is_right_the_halves_are_no_more_than_a_tree() -> None:
    rounds = Rounds(Capped(1000, bad=HUNDRED))
    statuses, calls, _ = await rounds.ask(HUNDRED)
    await rounds.stop()
    assert set(statuses.values()) == {"error"}
    assert calls <= 199


async def test_a_number_that_is_set_is_held_from_the_first_call() -> None:
    rounds = Rounds(Capped(10), replace(FAST, most_inputs={"p": 10}))
    assert (await rounds.ask(HUNDRED))[1:] == (10, 0)
    await rounds.stop()


async def test_requests_of_more_inputs_count_with_all_of_theirs() -> None:
    rounds = Rounds(Capped(10))
    threes = [[f"{n} a", f"{n} b", f"{n} c"] for n in range(40)]
    assert set((await rounds.ask(threes))[0].values()) == {"ok"}
    statuses, calls, refusals = await rounds.ask(threes)
    await rounds.stop()
    assert (set(statuses.values()), refusals) == ({"ok"}, 0)
    assert calls <= 15


@settings(max_examples=60, deadline=None)
@given(cap=st.integers(1, 120), bad=st.sets(st.integers(0, 59), max_size=4), data=st.data())
def test_whatever_a_provider_takes_everybody_ends_once_and_rightly(
    cap: int, bad: set[int], data: st.DataObject
) -> None:
    sizes = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=60))
    inputs = [str(n) if size == 1 else [str(n)] * size for n, size in enumerate(sizes)]

    async def run() -> None:
        rounds = Rounds(Capped(cap, bad=[str(each) for each in bad]))
        for round_number in range(2):
            statuses, calls, _ = await rounds.ask(inputs)
            failed = {each for each, status in statuses.items() if status != "ok"}
            large = {str(inputs[n]) for n, size in enumerate(sizes) if size > cap}
            assert failed - large == {str(inputs[n]) for n in bad if n < len(sizes)} - large
            assert not large or round_number or failed
            assert calls <= 2 * len(inputs) + 10
        await rounds.stop()

    asyncio.run(run())


def test_what_was_learnt_is_forgotten_after_an_hour() -> None:
    caps = InputCaps(100)
    group = [embedding(str(n)) for n in range(20)]
    assert caps.refused(group, 20, 0.0)
    caps.hold_back(group[10:])
    assert caps.ended(group[:10], 10, "answered", 1.0) == [group[10:]]
    assert caps.ended(group[10:], 10, "answered", 2.0) == []
    assert caps.most(group[0]) == 10
    caps.maintain(FORGET_AFTER_S - 60)
    assert caps.most(group[0]) == 10
    caps.maintain(FORGET_AFTER_S + 3)
    assert caps.most(group[0]) == 100


def test_what_one_model_takes_says_nothing_of_another() -> None:
    caps = InputCaps(100)
    group = [embedding(str(n)) for n in range(2)]
    caps.refused(group, 2, 0.0)
    caps.hold_back(group[1:])
    caps.ended(group[:1], 1, "answered", 1.0)
    caps.ended(group[1:], 1, "answered", 1.0)
    assert (caps.most(group[0]), caps.most(embedding("x", model="f"))) == (1, 100)


def test_the_number_of_what_is_known_is_bounded() -> None:
    caps = InputCaps(100)
    for n in range(5000):
        caps.too_large(embedding("x", model=f"model-{n}"), 50, 0.0)
    assert len(caps._known) <= 1000
