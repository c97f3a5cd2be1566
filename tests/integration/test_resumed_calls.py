"""Calls that go on with what an earlier attempt or another worker began, against a real upstream over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
import pytest

from ops.provider_sim import ProviderSim, background
from streams.kept import Kept, Upstream
from streams.limits import Route
from streams.limits.token_estimate import Estimate
from streams.limits.usage import Used
from streams.pipeline import Deltas, Outcome, PendingRequest, cancelled
from streams.providers.endpoint import upstream_number
from tests.integration.provider_rig import OpenRig
from tests.support.requests import pending, until
from tests.unit.test_kept import chunk, said

REATTACH = {"format": "responses", "stream_on_loss": "reattach"}
CONTINUE = {"stream_on_loss": "continue"}
TOKENS = 40


@dataclass
class Epoch:
    restart: bool
    upstream: Upstream | None
    chunks: list[bytes] = field(default_factory=list)
    reached: int | None = None


@dataclass
class Log:
    """What a request's readers are told, and what was told before."""

    before: Kept | None = None
    keeps: bool = True
    """Whether promises are kept."""
    epochs: list[Epoch] = field(default_factory=list)
    promised: list[tuple[Upstream, int]] = field(default_factory=list)
    """With the number of chunks that were told before."""
    _held: bool = False

    def of(self, request: PendingRequest) -> Deltas | None:
        return self if request.streams else None

    async def kept(self) -> Kept | None:
        return self.before

    def begin(self, *, restart: bool, upstream: Upstream | None = None, held: bool = False) -> None:
        self.epochs.append(Epoch(restart, upstream))
        self._held = held

    async def promise(self, upstream: Upstream) -> bool:
        self.promised.append((upstream, len(said(self.epochs[-1].chunks))))
        self._held = False
        return self.keeps

    def put(self, chunk: bytes, brought: bool, reached: int | None = None) -> None:
        self.epochs[-1].chunks.append(chunk)
        self.epochs[-1].reached = reached

    def rest(self) -> None: ...

    def end(self) -> None:
        if self._held:
            self.epochs[-1].chunks.clear()

    @property
    def told(self) -> str:
        return said(self.epochs[-1].chunks)


@dataclass
class Counted:
    """A budget that remembers how each reservation ended."""

    ends: list[Used | str | None] = field(default_factory=list)

    def is_valid(self) -> bool:
        return True

    def settle(self, used: Used | None) -> None:
        self.ends.append(used)

    def release(self) -> None:
        self.ends.append("released")

    def reserve(self, route: Route, estimate: Estimate) -> Counted:
        return self

    def too_large(self, route: Route, estimate: Estimate) -> None: ...
    def on_room(self, tell: Any) -> None: ...
    def observe_headers(self, route: Route, headers: Mapping[str, str]) -> None: ...
    def pause(self, route: Route, seconds: float) -> None: ...


def streaming(name: str, **more: Any) -> PendingRequest:
    hint = {"id": name, "completion_tokens": TOKENS, **more.pop("hint", {})}
    request = pending(payload={"headrace_sim": hint, **more})
    request.streams = True
    return request


def text_of(outcome: Outcome) -> str:
    assert outcome.payload is not None, outcome.error
    text: str = orjson.loads(outcome.payload)["choices"][0]["message"]["content"]
    return text


async def generations(simulator: ProviderSim, name: str) -> dict[str, int]:
    async with aiohttp.ClientSession() as http, http.get(f"{simulator.admin_url}/generations") as response:
        found: dict[str, int] = (await response.json())["by_id"][name]
        return found


async def begun_elsewhere(simulator: ProviderSim, name: str, events: int) -> Kept:
    """What another worker has told of an answer, when it died behind so many of its upstream's events."""
    await simulator.set(per_token_ms=30)
    body = {"model": "small", "input": "hi", "stream": True, "background": True, "store": True}
    body["headrace_sim"] = {"id": name, "completion_tokens": TOKENS}
    kept, number = Kept(), -1
    async with aiohttp.ClientSession() as http, http.post(f"{simulator.url}/responses", json=body) as response:
        async for line in response.content:
            if not line.startswith(b"data: "):
                continue
            event, number = orjson.loads(line[6:]), number + 1
            if event["type"] == "response.created":
                kept.upstream = Upstream("sim", upstream_number(simulator.url), "small", event["response"]["id"])
            elif event["type"] == "response.output_text.delta":
                kept.take(chunk(event["delta"]))
            kept.after = event["sequence_number"]
            if number == events:
                break
    return kept


@pytest.mark.parametrize("provider", [REATTACH, CONTINUE], ids=lambda given: str(given["stream_on_loss"]))
async def test_an_answer_that_breaks_off_is_gone_on_with_and_made_once(
    rig: OpenRig, simulator: ProviderSim, provider: dict[str, Any]
) -> None:
    log = Log()
    async with rig(simulator.url, provider=provider, deltas=log) as calls:
        whole = text_of(await calls.call(streaming("whole")))
        log.epochs.clear()
        outcome = await calls.call(streaming("broken", hint={"fault": "truncated", "fail_first": 1}))
    made = await generations(simulator, "broken")
    assert text_of(outcome) == log.told == whole
    assert (made["begun"], made["attached"] + made["continued"]) == (1, 1)
    assert len(log.epochs) == 2
    assert whole.startswith(said(log.epochs[0].chunks))


async def test_the_upstreams_name_is_safe_before_the_first_token(rig: OpenRig, simulator: ProviderSim) -> None:
    log = Log()
    async with rig(simulator.url, provider=REATTACH, deltas=log) as calls:
        text = text_of(await calls.call(streaming("safe")))
    [(upstream, told_before)] = log.promised
    assert upstream.id is not None
    assert told_before == 0
    assert log.told == text


async def test_what_could_not_be_made_safe_is_not_told_in_pieces(rig: OpenRig, simulator: ProviderSim) -> None:
    log = Log(keeps=False)
    async with rig(simulator.url, provider=REATTACH, deltas=log) as calls:
        assert text_of(await calls.call(streaming("unsafe")))
    assert log.told == ""


@pytest.mark.parametrize("events", [0, 1, 3, 4, 9, TOKENS, TOKENS + 4])
async def test_another_workers_answer_is_read_on_behind_what_it_told(
    rig: OpenRig, simulator: ProviderSim, events: int
) -> None:
    """Behind any event: before the first token, and where all that is missing is the last event (openai/openai-ruby#548)."""
    kept = await begun_elsewhere(simulator, "inherited", events)
    log, budget = Log(kept), Counted()
    async with rig(simulator.url, provider=REATTACH, deltas=log, budget=budget) as calls:
        outcome = await calls.call(streaming("inherited"))
    made = await generations(simulator, "inherited")
    assert text_of(outcome) == log.told
    assert len(log.told) == TOKENS * 4
    assert (made["begun"], made["attached"], made["tokens"]) == (1, 1, TOKENS)
    assert outcome.usage.completion_tokens == TOKENS
    assert budget.ends == ["released"], "who began it has settled it"
    assert log.told.startswith(kept.text)


async def test_an_answer_that_is_not_streamed_any_more_is_fetched(
    rig: OpenRig, simulator: ProviderSim, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenAI streams a response for five minutes (openai/openai-python#2828)."""
    kept = await begun_elsewhere(simulator, "old", 9)
    monkeypatch.setattr(background, "_STREAMED_FOR_S", -1.0)
    async with rig(simulator.url, provider=REATTACH, deltas=Log(kept)) as calls:
        text = text_of(await calls.call(streaming("old")))
    assert len(text) == TOKENS * 4
    assert (await generations(simulator, "old"))["begun"] == 1


async def test_an_answer_that_the_upstream_has_forgotten_begins_anew(rig: OpenRig, simulator: ProviderSim) -> None:
    """As one that was never in the background (community.openai.com, 1362217: 404 for what was stored)."""
    kept = await begun_elsewhere(simulator, "lost", 9)
    assert kept.upstream is not None
    kept.upstream = Upstream("sim", upstream_number(simulator.url), "small", "resp_unknown")
    log = Log(kept)
    async with rig(simulator.url, provider=REATTACH, deltas=log) as calls:
        outcome = await calls.call(streaming("lost"))
    assert len(text_of(outcome)) == TOKENS * 4
    assert outcome.attempts == 2
    assert (await generations(simulator, "lost"))["begun"] == 2
    assert log.epochs[-1].restart, "its reader is told, where it does not say the same"


async def test_an_answer_of_a_provider_that_is_not_there_any_more_begins_anew(
    rig: OpenRig, simulator: ProviderSim
) -> None:
    kept = Kept(Upstream("gone", 0, "small", "resp_1"))
    async with rig(simulator.url, provider=REATTACH, deltas=Log(kept)) as calls:
        assert text_of(await calls.call(streaming("moved")))


async def test_a_request_that_ends_without_its_answer_ends_that_at_the_upstream(
    rig: OpenRig, simulator: ProviderSim
) -> None:
    """Closing the connection does not, in the background; a worker that stops leaves it to the next one."""
    await simulator.set(per_token_ms=200)
    for name, nobody_waits in (("stopped", False), ("cancelled", True)):
        log = Log()
        async with rig(simulator.url, provider=REATTACH, deltas=log) as calls:
            request = streaming(name)
            call = calls.reserve(request)
            task = asyncio.create_task(call.call(request))
            await until(lambda log=log: log.epochs and log.told)  # type: ignore[misc]
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if nobody_waits:
                call.cut_off(cancelled(None))
            call.release()
            await asyncio.sleep(0.3)
        assert (await generations(simulator, name))["cancelled"] == nobody_waits


async def test_calls_of_tools_are_never_continued(rig: OpenRig, simulator: ProviderSim) -> None:
    tool = {"type": "function", "function": {"name": "look_up"}}
    log = Log()
    async with rig(simulator.url, provider=CONTINUE, deltas=log) as calls:
        outcome = await calls.call(
            streaming("tool", hint={"fault": "truncated", "fail_first": 1}, tools=[tool], tool_choice="required")
        )
    assert outcome.status == "ok"
    made = await generations(simulator, "tool")
    assert (made["begun"], made["continued"]) == (2, 0)
    assert log.epochs[-1].restart


async def test_an_upstream_that_does_not_continue_is_not_joined(rig: OpenRig, simulator: ProviderSim) -> None:
    """It answers from the start, as servers do that do not know the field (BerriAI/litellm#28580)."""
    log = Log()
    async with rig(simulator.url, provider=CONTINUE, deltas=log) as calls:
        whole = text_of(await calls.call(streaming("whole")))
        await simulator.set(continues=False)
        outcome = await calls.call(streaming("anew", hint={"fault": "truncated", "fail_first": 1}))
    assert text_of(outcome) == log.told == whole


async def test_an_answer_that_was_told_to_its_end_is_not_called_for_again(rig: OpenRig, simulator: ProviderSim) -> None:
    kept = Kept(Upstream("sim", 0, "small"))
    kept.take(chunk("All of it."))
    kept.take(chunk(reason="stop"))
    kept.take(orjson.dumps({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}))
    async with rig(simulator.url, provider=CONTINUE, deltas=Log(kept)) as calls:
        outcome = await calls.call(streaming("told"))
    assert (text_of(outcome), outcome.usage.total_tokens, outcome.attempts) == ("All of it.", 7, 0)
    assert simulator.ledger.counts.calls == 0
