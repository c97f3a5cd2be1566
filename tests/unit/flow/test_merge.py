"""Merged embeddings: everybody gets the vectors of their own inputs, tokens add up, and one that is bad fails alone."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.request import Request
from schemas.response import Usage
from streams.flow.coalesce import Coalescer
from streams.flow.dispatch import Dispatch
from streams.flow.merge import merge, mergeable, split
from streams.limits import Route
from streams.limits.token_estimate import Estimate
from streams.pipeline import Busy, Outcome, PendingRequest, error_outcome
from tests.support.requests import pending, rules
from tests.unit.flow.test_dispatch import Answered

TEXTS = st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=4)
TOKENS = st.lists(st.integers(0, 9), min_size=1, max_size=4)
INPUTS = st.one_of(st.text(min_size=1, max_size=9), TEXTS, TOKENS, st.lists(TOKENS, min_size=1, max_size=3))


def embedding(text: object, agent: str | None = None, model: str = "e", **others: Any) -> PendingRequest:
    request = pending(agent=agent, model=model)
    request.request = Request(operation="embeddings", payload={"model": model, "input": text, **others})
    request.route, request.estimate = Route("p", model), Estimate(5)
    return request


def inputs_of(request: PendingRequest) -> list[Any]:
    found = request.request.payload["input"]
    return list(found) if isinstance(found, list) and isinstance(found[0], str | list) else [found]


def answer_to(request: PendingRequest, prompt_tokens: int = 100) -> Outcome:
    """As a provider would: a vector that tells which input it is of."""
    data = [
        {"object": "embedding", "index": n, "embedding": [hash(str(each)) % 1000]}
        for n, each in enumerate(inputs_of(request))
    ]
    usage = {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens}
    body = {"object": "list", "data": data[::-1], "model": "e", "usage": usage}
    return Outcome(
        "ok", payload=orjson.dumps(body), usage=Usage(prompt_tokens, 0, prompt_tokens), provider="p", attempts=1
    )


@given(st.lists(INPUTS, min_size=1, max_size=8), st.integers(0, 500))
def test_everybody_gets_the_answer_it_would_have_got_alone(texts: list[object], tokens: int) -> None:
    requests = [embedding(text) for text in texts]
    parts = split(answer_to(merge(requests), tokens), requests)
    assert parts is not None
    for request, part in zip(requests, parts, strict=True):
        alone = orjson.loads(answer_to(request).payload or b"")
        found = orjson.loads(part.payload or b"")
        assert found["data"] == sorted(alone["data"], key=lambda entry: entry["index"])
        assert found["usage"]["prompt_tokens"] == part.usage.prompt_tokens
    assert sum(part.usage.prompt_tokens for part in parts) == tokens
    assert sum(part.usage.total_tokens for part in parts) == tokens


@pytest.mark.parametrize(
    "payload",
    [b"no", b"{}", b'{"data":[]}', b'{"data":[{"index":0},{"index":0}]}', b'{"data":[{"index":"x"},{"index":1}]}'],
)
def test_an_answer_that_is_not_of_all_inputs_is_not_taken_apart(payload: bytes) -> None:
    assert split(Outcome("ok", payload=payload), [embedding("a"), embedding("b")]) is None


def test_only_what_differs_in_nothing_but_the_input_fits() -> None:
    coalescer = Coalescer(100, 1.0)
    first = embedding("a")
    fits = [embedding(["b", "c"]), embedding("d")]
    others = [embedding("e", dimensions=8), embedding([1, 2]), embedding("f", model="g"), pending()]
    for request in [first, *fits, *others]:
        coalescer.add(request)
    assert coalescer.fitting(first) == fits
    assert mergeable(embedding(["a", 1])) is None


def test_no_more_inputs_than_fit_share_a_call() -> None:
    coalescer = Coalescer(4, 1.0)
    requests = [embedding(text) for text in ("a", ["b", "c"], "d", "e")]
    for request in requests:
        coalescer.add(request)
    assert coalescer.fitting(requests[0]) == requests[1:3]
    coalescer.too_large(requests, 0.0)
    assert coalescer.fitting(requests[0]) == []


def test_a_wait_for_company_ends_when_there_is_enough_or_its_time_is_over() -> None:
    coalescer = Coalescer(3, 1.0)
    a, b, c, other = embedding("a"), embedding("b"), embedding("c"), embedding("x", model="g")
    for request in (a, b, c, other):
        assert coalescer.add(request)
    assert coalescer.linger(a, 10.0) == []
    assert coalescer.linger(other, 10.5) == []
    assert coalescer.next_at == 11.0
    assert coalescer.linger(b, 10.2) == []
    assert coalescer.linger(c, 10.3) == [a, b, c]
    assert coalescer.lingered(11.4, all_of_them=False) == []
    assert coalescer.lingered(11.5, all_of_them=False) == [other]
    assert coalescer.next_at is None


class BadInputs:
    """One call at a time; refuses a call with a bad input, and answers too many inputs with too much."""

    def __init__(self, most_inputs: int = 100) -> None:
        self.calls: list[list[Any]] = []
        self._free = 1
        self._most_inputs = most_inputs
        self._tell: Callable[[Route], None] = lambda _: None

    def why_not(self, request: PendingRequest) -> str:
        return ""

    def on_room(self, tell: Callable[[Route], None]) -> None:
        self._tell = tell

    def route(self, request: PendingRequest) -> Route | Outcome:
        return Route("p", request.request.payload["model"])

    def reserve(self, request: PendingRequest) -> BadInputs | Busy:
        if not self._free:
            return Busy("route")
        self._free -= 1
        return self

    async def call(self, request: PendingRequest) -> Outcome:
        await asyncio.sleep(0)
        inputs = inputs_of(request)
        self.calls.append(inputs)
        if "bad" in inputs:
            return Outcome("error", error=error_outcome("provider_error", "400: bad input").error, attempts=1)
        if len(inputs) > self._most_inputs:
            return Outcome("error", error=error_outcome("answer_too_large", "more than 10 bytes").error, attempts=1)
        return answer_to(request)

    def attending(self) -> None: ...

    def cut_off(self, outcome: Outcome) -> Outcome:
        return outcome

    def release(self) -> None:
        self._free += 1
        self._tell(Route("p", "e"))


async def ask(providers: BadInputs, requests: Sequence[PendingRequest]) -> Answered:
    answered = Answered()
    dispatch = Dispatch(rules(), providers, answered, lambda: 1000.0, time.monotonic)
    try:
        dispatch.accept(requests)
        await answered.wait(len(requests))
    finally:
        await dispatch.stop()
    assert Counter(id(request) for request, _ in answered.outcomes) == Counter(map(id, requests))
    return answered


async def test_what_waits_shares_a_call() -> None:
    providers = BadInputs()
    answered = await ask(providers, [embedding(str(n), agent=f"a{n % 5}") for n in range(100)])
    assert [len(call) for call in providers.calls] == [100]
    assert set(answered.statuses()) == {"ok"}


async def test_one_bad_input_fails_alone() -> None:
    providers = BadInputs()
    requests = [embedding("bad" if n == 37 else str(n), agent=f"a{n % 5}") for n in range(100)]
    answered = await ask(providers, requests)
    assert [request for request, outcome in answered.outcomes if outcome.status == "error"] == [requests[37]]
    assert len(providers.calls) <= 2 + 2 * 7


async def test_answers_that_are_too_large_together_are_asked_for_in_smaller_parts() -> None:
    providers = BadInputs(most_inputs=30)
    answered = await ask(providers, [embedding(str(n), agent=f"a{n % 5}") for n in range(201)])
    assert set(answered.statuses()) == {"ok"}
    assert max(len(call) for call in providers.calls[-4:]) <= 30


async def test_a_limit_of_one_ends_the_call_for_that_one_only() -> None:
    class Slow(BadInputs):
        async def call(self, request: PendingRequest) -> Outcome:
            self.calls.append(inputs_of(request))
            await asyncio.sleep(0)
            if request.expires_at is not None:
                return Outcome("expired", error=error_outcome("deadline", "out of time").error, attempts=1)
            return answer_to(request)

    requests = [embedding(str(n), agent=f"a{n % 5}") for n in range(10)]
    requests[4].expires_at = 1000.0
    answered = await ask(Slow(), requests)
    assert [request for request, outcome in answered.outcomes if outcome.status == "expired"] == [requests[4]]
    assert Counter(answered.statuses()) == {"ok": 9, "expired": 1}
