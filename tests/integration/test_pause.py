"""`headrace pause`, `resume` and `providers drain` over a fleet: what waits says why, and what is in force outlasts workers."""

from __future__ import annotations

from functools import partial
from typing import Any

import aiohttp
import orjson

from ops.admin.actions import make_action, write
from ops.admin.providers import look
from ops.admin.records import open_writer
from streams.settings import load_settings
from tests.support.cli import headrace
from tests.support.pipeline import Pipeline, request, wait_until
from tests.support.positions import read_all
from topics.names import ADMIN, RESPONSES, TOPIC_OF


async def why(address: str | None, request_id: str) -> Any:
    body = {"requests": [{"id": request_id}]}
    async with aiohttp.ClientSession() as http, http.post(f"http://{address}/requests", json=body) as told:
        return (await told.json())[0]


async def answered(pipeline: Pipeline) -> dict[str, str]:
    found = [orjson.loads(each.value) for each in await read_all(pipeline.client_options, [RESPONSES])]
    return {each["request_id"]: each["status"] for each in found}


async def send(pipeline: Pipeline, priority: Any, name: str, **fields: Any) -> None:
    async with open_writer(pipeline.client_options) as producer:
        value = orjson.dumps({**request(name), **fields})
        await producer.send_and_wait(TOPIC_OF[priority], value, f"agent-{name}".encode())


async def test_a_paused_class_waits_says_why_expires_in_time_and_goes_on_where_a_new_worker_takes_over(
    pipeline: Pipeline,
) -> None:
    """A pause that ends with a restart: cloudamqp/lavinmq#446; that is known too late after one: OptimalBits/bull#247."""
    settings = pipeline.settings(queueing__timeout__low="300s")
    async with pipeline.fleet(queueing__timeout__low="300s", kafka__session_timeout="3s") as fleet:
        (worker,) = await fleet.start(1)
        paused = await headrace("pause", "low", "--reason", "a test", "--json", settings=settings)
        said = orjson.loads(paused.out)
        assert (paused.code, [each["state"] for each in said["outcomes"]]) == (0, ["done"])
        await send(pipeline, "low", "patient")
        await send(pipeline, "low", "hurried", timeout_s=3)
        await send(pipeline, "high", "other")

        async def both_are_over() -> bool:
            return {"other", "hurried"} <= (await answered(pipeline)).keys()

        await wait_until(both_are_over, 60)
        assert await answered(pipeline) == {"other": "ok", "hurried": "expired"}
        told = await why(worker.http, "patient")
        assert (told["stage"], told["reason"], told["predicted_s"]) == ("queue", "class_paused", None)
        assert "paused its class" in told["words"]

        async def one_is_counted() -> bool:  # the other is answered, and then its place committed
            counted = await headrace("pause", "low", "--dry-run", settings=settings)
            return counted.out == "1 requests of class low have no answer yet\n"

        await wait_until(one_is_counted, 60)
        replaced = await fleet.replace(worker)

        async def waits_again() -> bool:
            return bool((await why(replaced.http, "patient"))["reason"] == "class_paused")

        await wait_until(waits_again, 60)
        resumed = await headrace("resume", "--json", settings=settings)
        assert orjson.loads(resumed.out)["outcomes"][0]["touched"] == 1

        async def is_answered() -> bool:
            return "patient" in await answered(pipeline)

        await wait_until(is_answered, 60)
    log = [orjson.loads(each.value) for each in await read_all(pipeline.client_options, [ADMIN])]
    assert [(each["action"], each.get("state")) for each in log] == [
        ("pause", None), ("pause", "done"), ("resume", None), ("resume", "done"),
    ]  # fmt: skip
    assert log[0]["reason"] == "a test"
    assert "@" in log[0]["requested_by"]


async def test_a_drain_is_the_fleets_and_lasts_for_workers_that_start_later(pipeline: Pipeline) -> None:
    settings, url = pipeline.settings(metrics__interval="1s"), pipeline.simulator.url

    async def states(workers: Any) -> list[str]:
        return [each.state for worker in workers for each in await look(str(worker.http))]

    async with pipeline.fleet(metrics__interval="1s") as fleet:
        await fleet.start(2)
        async with open_writer(pipeline.client_options) as stranger:  # none of these stops anybody
            for value in (b"{", b"[1]", orjson.dumps({"action": "drain"})):
                await stranger.send_and_wait(ADMIN, value, partition=0)

        async def may_be_asked(count: int) -> bool:
            """Samples tell where workers are asked."""
            dry = await headrace("providers", "drain", url, "--dry-run", "--json", settings=settings)
            found = orjson.loads(dry.out)
            assert (found["dry_run"], found["touches"]) == (True, 0)
            return bool(found["workers_asked"] == count)

        await wait_until(partial(may_be_asked, 2), 60)
        drained = await headrace("providers", "drain", url, "--json", settings=settings)
        said = orjson.loads(drained.out)["outcomes"]
        assert (drained.code, {each["state"] for each in said}, len(said)) == (0, {"done"}, 2)
        await fleet.start(1)
        assert await states(fleet.workers) == ["draining"] * 3
        await wait_until(partial(may_be_asked, 3), 60)
        nowhere = await headrace("providers", "drain", "http://nowhere.example/v1", settings=settings)
        assert nowhere.code == 1
        assert nowhere.out.count("failed  there is no endpoint") == 3
        undone = await headrace("providers", "undrain", url, settings=settings)
        assert (undone.code, undone.out.count("done  ")) == (0, 3)
        assert await states(fleet.workers) == ["healthy"] * 3


async def test_what_was_asked_twice_is_done_once_in_effect(pipeline: Pipeline) -> None:
    loaded = load_settings(pipeline.settings())
    twice = make_action("pause", "test", priority="high")
    await write(loaded, twice, twice, make_action("resume", "test", priority="high"))
    async with pipeline.fleet() as fleet:
        await fleet.start(1)
        await send(pipeline, "high", "free")

        async def is_answered() -> bool:
            return "free" in await answered(pipeline)

        await wait_until(is_answered, 60)
