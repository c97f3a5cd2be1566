"""A request with more inputs than its provider takes goes in parts, and ends once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import orjson
import pytest

from tests.support.requests import SampleSource
from tests.unit.flow.test_input_caps import FAST, HUNDRED, Capped, Rounds, sorted_data
from tests.unit.flow.test_merge import answer_to, embedding


@pytest.mark.parametrize(
    "inputs",
    [
        pytest.param([f"t{n}" for n in range(25)], id="gbrain#2405 kind: 25 texts, 10 a call"),
        pytest.param([[n, n + 1] for n in range(31)], id="lists of tokens"),
        pytest.param([f"t{n}" for n in range(2048)], id="all that OpenAI takes"),
    ],
)
async def test_a_request_of_more_inputs_than_are_taken_goes_in_parts(inputs: Sequence[object]) -> None:
    rounds = Rounds(Capped(10), replace(FAST, most_inputs={"p": 10}))
    statuses, calls, refusals = await rounds.ask([inputs])  # compares the vectors and their order with a call's own
    await rounds.stop()
    assert (list(statuses.values()), calls, refusals) == (["ok"], -(-len(inputs) // 10), 0)


async def test_the_answer_has_one_index_a_vector_and_the_tokens_of_all_parts() -> None:
    rounds = Rounds(Capped(10), replace(FAST, most_inputs={"p": 10}))
    await rounds.ask([[f"t{n}" for n in range(25)]])
    await rounds.stop()
    ((_, outcome),) = rounds._answered.outcomes
    body = orjson.loads(outcome.payload or b"")
    assert [entry["index"] for entry in body["data"]] == list(range(25))
    assert (outcome.usage.prompt_tokens, body["usage"]["prompt_tokens"], outcome.attempts) == (300, 300, 3)


async def test_what_was_learnt_from_others_holds_for_a_single_request_too() -> None:
    rounds = Rounds(Capped(10))
    await rounds.ask(HUNDRED)
    statuses, calls, refusals = await rounds.ask([[f"t{n}" for n in range(40)]])
    await rounds.stop()
    assert (list(statuses.values()), calls, refusals) == (["ok"], 4, 0)


async def test_where_nothing_is_known_a_request_goes_as_it_is() -> None:
    rounds = Rounds(Capped(1000))
    assert (await rounds.ask([[f"t{n}" for n in range(500)]]))[1:] == (1, 0)
    await rounds.stop()


async def test_one_bad_part_ends_the_request_and_what_waits_of_it_is_not_called() -> None:
    class OneByOne(Capped):
        def __init__(self) -> None:
            super().__init__(10, bad=["t3"])
            self._free = 1

    rounds = Rounds(OneByOne(), replace(FAST, most_inputs={"p": 10}))
    statuses, calls, _ = await rounds.ask([[f"t{n}" for n in range(100)]])
    assert (list(statuses.values()), calls) == (["error"], 1)
    again, _, _ = await rounds.ask([[f"u{n}" for n in range(20)]])
    await rounds.stop()
    assert list(again.values()) == ["ok"]
    assert len(rounds.provider.sizes) == 3
    assert not rounds._dispatch._parts._wholes


async def test_a_request_whose_record_has_moved_is_abandoned_once() -> None:
    rounds = Rounds(Capped(10), replace(FAST, most_inputs={"p": 10}, most_in_flight=1))
    source = SampleSource()
    request = embedding([f"t{n}" for n in range(50)])
    request.source = source
    source.live = False
    rounds._dispatch.accept([request])
    await asyncio.sleep(0.05)
    await rounds.stop()
    assert rounds._answered.abandoned == [request]
    assert rounds.provider.sizes == []


def test_the_samples_answer_tells_vectors_apart() -> None:
    assert sorted_data(answer_to(embedding(["a", "b"])).payload) != sorted_data(
        answer_to(embedding(["b", "a"])).payload
    )
