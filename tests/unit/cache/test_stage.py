"""The cache stage on a real event loop, between a list of calls and a list of answers, with a clock that tests move."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.response import NO_USAGE, Usage, WireError
from streams.cache.answers import Answer
from streams.cache.memory import MemoryTier
from streams.cache.rules import CacheRules
from streams.cache.stage import CacheStage
from streams.pipeline import Outcome, PendingRequest, expired
from tests.support.requests import until
from tests.unit.cache.requests import Calls, DictStore, Ends, Record, pending
from topics.names import Priority

OK = Outcome("ok", payload=b'{"answer": 1}', usage=Usage(1, 2, 3), provider="sim", attempts=1)
FAILED = Outcome("error", error=WireError("provider_error", "500", retryable=True), provider="sim", attempts=3)
REFUSED = Outcome("error", error=WireError("provider_error", "400", retryable=False), provider="sim", attempts=1)


class Bench:
    """A cache stage with everything around it."""

    def __init__(self, store: DictStore | None = None, namespace: str = "fleet", max_temperature: float = 1.0) -> None:
        self.now = 0.0
        self.ends, self.calls, self.store = Ends(), Calls(), store or DictStore()
        self.memory: MemoryTier[Answer] = MemoryTier(1 << 20, {"responses": 0.7, "metadata": 0.3})
        rules = CacheRules(namespace, max_temperature, memory_ttl_s=300, ttl_s=86_400, finished_window_s=600)  # type: ignore[arg-type]
        self.stage = CacheStage(rules, self.memory, self.store, self.ends, now=lambda: self.now)
        self.stage.connect(self.calls)

    async def take(self, *requests: PendingRequest) -> None:
        """Hand the requests over and let the look-up end."""
        self.stage.accept(requests)
        await until(lambda: self.stage._looking_up is None)

    def end(self, name: str, outcome: Outcome) -> None:
        """End the call of a request."""
        self.stage.respond(next(r for r in self.calls.requests if r.request_id == name), outcome)


class SlowStore(DictStore):
    """Takes its time, as a disk does."""

    async def find(self, keys: Sequence[bytes], now: float) -> Mapping[bytes, Answer | bytes]:
        await asyncio.sleep(0.01)
        return await super().find(keys, now)


async def test_an_answer_is_a_hit_for_the_next_one_at_once_and_costs_no_tokens() -> None:
    bench = Bench()
    await bench.take(pending("first"))
    bench.end("first", OK)
    bench.stage.accept([pending("second", agent_id="b")])
    (hit,) = bench.ends.of("second")
    assert (hit.status, hit.cache, hit.payload, hit.usage, hit.attempts) == ("ok", "memory", OK.payload, NO_USAGE, 0)
    assert bench.calls.names() == ["first"]


async def test_what_is_on_disk_is_found_in_one_look_up_and_kept_in_memory() -> None:
    before = Bench()
    await before.take(pending("first"), pending("other", "another question"))
    before.end("first", OK)
    before.end("other", OK)
    restarted = Bench(before.store)
    before.store.looked_up.clear()
    await restarted.take(pending("second", agent_id="b"), pending("third", "another question", agent_id="b"))
    assert [outcome.cache for _, outcome in restarted.ends.responses] == ["disk", "disk"]
    assert len(before.store.looked_up) == 1
    restarted.stage.accept([pending("fourth", agent_id="c")])
    assert restarted.ends.of("fourth")[0].cache == "memory"


async def test_what_comes_during_a_look_up_is_answered_by_what_it_found() -> None:
    """A worker with an empty memory asks its disk for an answer once, however many want it."""
    before = Bench()
    await before.take(pending("first"))
    before.end("first", OK)
    restarted = Bench(SlowStore(before.store.found))
    for number in range(5):
        restarted.stage.accept([pending(f"r{number}", agent_id=f"a{number}")])
        await asyncio.sleep(0)  # the first look-up has begun
    await restarted.take(pending("new", "another question"))
    assert [outcome.cache for _, outcome in restarted.ends.responses] == ["disk"] + ["memory"] * 4
    assert restarted.calls.names() == ["new"]
    restarted.stage.accept([pending("later", "a third one")])
    await restarted.take()
    assert restarted.calls.names() == ["new", "later"]


async def test_identical_requests_are_called_once_and_all_are_answered() -> None:
    bench = Bench()
    await bench.take(*(pending(f"r{n}", agent_id=f"a{n}") for n in range(1000)))
    assert bench.calls.names() == ["r0"]
    bench.end("r0", OK)
    assert len(bench.ends.responses) == 1000
    assert {outcome.cache for name, outcome in bench.ends.responses if name != "r0"} == {"joined"}


async def test_an_answer_that_was_cut_off_reaches_who_asked_meanwhile_and_is_kept_for_nobody_else() -> None:
    bench = Bench()
    await bench.take(pending("first"), pending("joined", agent_id="b"))
    bench.end("first", replace(OK, shareable=False))
    assert [(outcome.status, outcome.cache) for outcome in bench.ends.of("joined")] == [("ok", "joined")]
    await bench.take(pending("later", agent_id="c"))
    assert bench.calls.names() == ["first", "later"]
    await bench.take(pending("first"))  # the same request once more is not paid again
    assert bench.calls.names() == ["first", "later"]
    assert [outcome.payload for outcome in bench.ends.of("first")] == [OK.payload, OK.payload]


async def test_an_answer_is_not_found_any_more_once_the_models_name_stands_for_another_one() -> None:
    bench, stands_for = Bench(), {"m": b"main=model-1"}
    bench.stage._mapping = lambda model: stands_for.get(model, b"")
    await bench.take(pending("first"))
    bench.end("first", OK)
    await bench.take(pending("same", agent_id="b"))
    stands_for["m"] = b"main=model-2"
    await bench.take(pending("other", agent_id="c"))
    assert bench.calls.names() == ["first", "other"]


async def test_a_leaders_failure_is_its_own_and_the_next_one_tries() -> None:
    bench = Bench()
    await bench.take(*(pending(f"r{n}", agent_id=f"a{n}") for n in range(3)))
    bench.end("r0", FAILED)
    assert bench.calls.names() == ["r0", "r1"]
    bench.end("r1", OK)
    assert [(name, outcome.status) for name, outcome in bench.ends.responses] == [
        ("r0", "error"),
        ("r1", "ok"),
        ("r2", "ok"),
    ]


async def test_a_refusal_of_the_payload_itself_is_told_to_all_and_paid_once() -> None:
    bench = Bench()
    await bench.take(*(pending(f"r{n}", agent_id=f"a{n}") for n in range(3)))
    bench.end("r0", REFUSED)
    assert bench.calls.names() == ["r0"]
    assert [outcome.attempts for _, outcome in bench.ends.responses] == [1, 0, 0]


async def test_a_leader_that_runs_out_of_time_hands_over_to_one_that_has_some() -> None:
    bench = Bench()
    await bench.take(pending("short", timeout_s=1), pending("long", agent_id="b", timeout_s=100))
    bench.now = 1.5
    bench.end("short", expired("during the provider call", attempts=1))
    assert bench.calls.names() == ["short", "long"]


async def test_a_leader_that_moved_to_another_worker_hands_over() -> None:
    bench = Bench()
    await bench.take(pending("moved"), pending("stays", agent_id="b"))
    bench.stage.abandon(bench.calls.requests[0])
    assert bench.calls.names() == ["moved", "stays"]
    assert bench.ends.abandoned == ["moved"]


async def test_joiners_keep_their_own_deadline_while_a_leader_hangs() -> None:
    bench = Bench()
    await bench.take(
        pending("hangs", timeout_s=1000),
        pending("impatient", agent_id="b", timeout_s=5),
        pending("by class", agent_id="c", wait_s=10),
        pending("patient", agent_id="d", timeout_s=500),
    )
    bench.now = 20.0
    async with asyncio.timeout(30):
        while len(bench.ends.responses) < 2:  # noqa: ASYNC110 - the sweep is what is tested
            await asyncio.sleep(0.01)
    assert [(name, outcome.status) for name, outcome in bench.ends.responses] == [
        ("impatient", "expired"),
        ("by class", "expired"),
    ]
    bench.end("hangs", OK)
    assert bench.ends.of("patient")[0].cache == "joined"
    await bench.stage.stop()


async def test_a_joiner_of_a_call_under_way_is_past_its_wait_for_dispatch() -> None:
    bench = Bench()
    await bench.take(pending("leads"), pending("joins", agent_id="b", wait_s=10))
    bench.calls.requests[0].dispatched_at = 1.0
    bench.now = 20.0
    await asyncio.sleep(0.3)
    assert bench.ends.responses == []
    bench.end("leads", OK)
    assert bench.ends.of("joins")[0].status == "ok"
    await bench.stage.stop()


async def test_the_same_request_again_is_answered_from_memory_of_it_whatever_its_cache_mode() -> None:
    bench = Bench()
    await bench.take(pending("r", mode="off", temperature=2))
    bench.end("r", OK)
    bench.stage.accept([pending("r", mode="off", temperature=2)])
    assert [outcome.cache for outcome in bench.ends.of("r")] == ["none", "memory"]


async def test_a_finished_request_is_known_to_another_worker() -> None:
    bench = Bench()
    await bench.take(pending("kept"), pending("carried", "other", mode="off"))
    bench.end("kept", OK)
    bench.end("carried", OK)
    other = Bench(bench.store)
    await other.take(pending("kept"), pending("carried", "other", mode="off"))
    assert [outcome.cache for _, outcome in other.ends.responses] == ["disk", "disk"]


async def test_two_agents_with_the_same_request_id_do_not_see_each_others_answers() -> None:
    bench = Bench(namespace="agent")
    await bench.take(pending("r", agent_id="a"))
    bench.end("r", OK)
    await bench.take(pending("r", agent_id="b"))
    assert len(bench.calls.requests) == 2


async def test_a_retry_after_an_error_is_a_retry() -> None:
    bench = Bench()
    await bench.take(pending("r"))
    bench.end("r", FAILED)
    await bench.take(pending("r"))
    assert bench.calls.names() == ["r", "r"]


@pytest.mark.parametrize(
    ("first", "second", "hit"),
    [
        ("read_write", "read_only", True),
        ("write_only", "read_write", True),
        ("read_only", "read_write", False),
        ("off", "read_write", False),
        ("read_write", "write_only", False),
        ("read_write", "off", False),
    ],
)
async def test_the_mode_says_whether_an_answer_is_kept_and_whether_one_is_looked_for(
    first: str, second: str, hit: bool
) -> None:
    bench = Bench()
    await bench.take(pending("one", mode=first))
    bench.end("one", OK)
    await bench.take(pending("two", mode=second))
    assert (bench.calls.names() == ["one"]) == hit


async def test_an_answer_that_was_asked_to_vary_is_not_shared() -> None:
    bench = Bench(max_temperature=0.5)
    for number, temperature in enumerate([0.4, 0.4, 0.6, 0.6]):
        await bench.take(pending(f"r{number}", temperature=temperature))
        if f"r{number}" in bench.calls.names():
            bench.end(f"r{number}", OK)
    assert bench.calls.names() == ["r0", "r2", "r3"]


async def test_memory_forgets_after_its_time_and_a_request_may_ask_for_less() -> None:
    bench = Bench()
    bench.store.find = nothing  # type: ignore[method-assign]
    await bench.take(pending("a", "one", ttl_s=10), pending("b", "two"))
    bench.end("a", OK)
    bench.end("b", OK)
    bench.now = 11
    await bench.take(pending("c", "one"), pending("d", "two"))
    assert bench.calls.names() == ["a", "b", "c"]
    bench.now = 301
    await bench.take(pending("e", "two"))
    assert bench.calls.names() == ["a", "b", "c", "e"]


async def nothing(keys: object, now: float) -> dict[bytes, Answer | bytes]:
    return {}


@settings(max_examples=200, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 40))
def test_whatever_happens_to_leaders_every_request_ends_exactly_once(chance: Random, count: int) -> None:
    async def run() -> None:
        bench = Bench()
        requests = [
            pending(
                f"r{number}",
                chance.choice("xy"),
                agent_id=f"a{number}",
                timeout_s=chance.choice([None, 1, 5, 50]),
                mode=chance.choice(["read_write", "read_write", "read_only", "off"]),
            )
            for number in range(count)
        ]
        waiting = list(requests)
        ended = 0
        while waiting or ended < len(bench.calls.requests):
            if waiting and chance.random() < 0.5:
                await bench.take(*(waiting.pop() for _ in range(chance.randint(1, len(waiting)))))
            elif ended < len(bench.calls.requests):
                call = bench.calls.requests[ended]
                ended += 1
                if chance.random() < 0.1:
                    assert isinstance(call.source, Record)
                    call.source.live = False
                    bench.stage.abandon(call)
                else:
                    bench.stage.respond(call, chance.choice([OK, FAILED, REFUSED, expired("somewhere", attempts=1)]))
            bench.now += chance.random() * 2
        await bench.stage.stop()
        ends = sorted([name for name, _ in bench.ends.responses] + bench.ends.abandoned)
        assert ends == sorted(request.request_id for request in requests)
        assert len(bench.stage._flights) == 0

    asyncio.run(run())


class BrokenStore(DictStore):
    """A tier below memory in which everything goes wrong."""

    async def find(self, keys: object, now: float) -> dict[bytes, Answer | bytes]:
        raise RuntimeError("the disk is on fire")

    def put_answer(self, key: bytes, request: PendingRequest, answer: Answer) -> None:
        raise RuntimeError("the disk is on fire")


async def test_a_fault_of_the_cache_costs_a_call_and_never_an_answer() -> None:
    bench = Bench(BrokenStore())
    await bench.take(pending("one"), pending("joins", agent_id="b"))
    assert bench.calls.names() == ["one"]
    bench.end("one", OK)
    assert [(name, outcome.status) for name, outcome in bench.ends.responses] == [("one", "ok"), ("joins", "ok")]


def of_class(priority: Priority, name: str) -> PendingRequest:
    request = pending(name, agent_id=name)
    request.priority = priority
    return request


@pytest.mark.parametrize(("first", "then", "called"), [
    ("low", "high", ["first", "then"]), ("normal", "high", ["first", "then"]), ("low", "normal", ["first", "then"]),
    ("high", "low", ["first"]), ("normal", "normal", ["first"]),
])  # fmt: skip
async def test_who_waits_for_dispatch_is_overtaken_by_a_higher_class(
    first: Priority, then: Priority, called: list[str]
) -> None:
    bench = Bench()
    await bench.take(of_class(first, "first"))
    await bench.take(of_class(then, "then"))
    assert bench.calls.names() == called
    bench.end(called[-1], OK)
    assert sorted(name for name, _ in bench.ends.responses) == ["first", "then"]
    assert "first" not in bench.calls.names() or called == ["first"], "it is not called for what is known"


async def test_a_call_under_way_is_waited_for_whatever_its_class() -> None:
    bench = Bench()
    await bench.take(leader := of_class("low", "first"))
    leader.dispatched_at = 1.0
    await bench.take(of_class("high", "then"))
    assert bench.calls.names() == ["first"]


async def test_an_overtaken_one_that_is_called_meanwhile_is_answered_by_its_own_call_once() -> None:
    bench = Bench()
    await bench.take(leader := of_class("low", "first"))
    await bench.take(of_class("high", "then"))
    leader.dispatched_at = 1.0
    bench.end("then", OK)
    assert [name for name, _ in bench.ends.responses] == ["then"]
    bench.end("first", OK)
    assert [name for name, _ in bench.ends.responses] == ["then", "first"]


async def test_an_overtaken_one_stays_in_its_queue_where_the_higher_one_fails() -> None:
    bench = Bench()
    await bench.take(of_class("low", "first"))
    await bench.take(of_class("high", "then"))
    bench.end("then", expired("in the queue"))
    assert [name for name, _ in bench.ends.responses] == ["then"]
    assert "first" in bench.calls.names()
    bench.end("first", OK)
    assert [name for name, _ in bench.ends.responses] == ["then", "first"]
