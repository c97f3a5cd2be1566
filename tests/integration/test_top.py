"""`headrace top` over a real fleet: what it shows, and how it gives the terminal back."""

from __future__ import annotations

import signal
from contextlib import closing

import orjson

from ops.processes.fleet import headrace_command
from tests.support.cli import headrace
from tests.support.pipeline import Pipeline, request, wait_until
from tests.support.terminal import ENTERED, LEFT, OnATerminal

WAITING = 7


async def test_a_fleet_on_a_terminal_and_the_terminal_afterwards(pipeline: Pipeline) -> None:
    """Ctrl-C and SIGTERM left terminals without echo, on another screen (tuist/Noora#1134, ROCm/rocm-cli#326); a program whose
    window was closed went on with a whole core (jonas/tig#164, fujiapple852/trippy#617).
    """
    changed = {"metrics__interval": "1s", "concurrency__per_host": 1, "queueing__timeout__normal": "10m"}
    path = pipeline.settings(**changed)
    given, command = ("--settings", str(path)), headrace_command("top", "--every", "500ms", "--settings", str(path))
    async with pipeline.fleet(**changed) as fleet, pipeline.traffic() as traffic:
        await fleet.start(1)
        for number in range(1 + WAITING):
            await traffic.send("normal", "busy", request(f"r{number}", latency_ms=120_000))

        async def waits() -> bool:
            seen = await headrace("top", "--json", *given)
            assert seen.code == 0, seen.err
            found = orjson.loads(seen.out)
            lines = {(each["priority"], each["reason"], each["requests"]) for each in found["waiting_for"]}
            return ("normal", "endpoint_slots", WAITING) in lines and found["classes"][1]["oldest_s"] > 0

        await wait_until(waits, 90)
        plain = await headrace("top", *given)
        assert (plain.code, "\x1b" in plain.out) == (0, False)
        assert "endpoint_slots" in plain.out

        under_way = orjson.loads((await headrace("request", "show", "r0", "--json", *given)).out)
        assert (under_way["state"], under_way["stage"], under_way["attempts"]) == ("called", "call", 1)
        waiting = orjson.loads((await headrace("request", "show", "r3", "--json", *given)).out)
        assert (waiting["state"], waiting["reason"], waiting["agent_id"]) == ("waiting", "endpoint_slots", "busy")
        assert waiting["position"] in (2, 3)
        traced = await headrace("trace", waiting["record"], *given)
        assert (traced.code, "it waits: the provider's hosts have" in traced.out) == (0, True), traced
        assert (await headrace("request", "show", "nobody's", *given)).code == 1

        with closing(OnATerminal(command, 60, 22, NO_COLOR="1")) as top:
            seen = await top.shows("Limits now:")
            assert top.drawn.startswith(ENTERED)
            assert "\x1b[3" not in top.drawn, "no colour"
            assert max(map(len, seen.splitlines())) <= 60
            assert top.mode != top.before
            top.type(b"\t")
            await top.shows("endpoint_slots")
            top.type(b"?")
            await top.shows("scroll")
            top.type(b"\x1b[Z")  # from Queues back, and once more
            await top.shows("[overview]")
            top.type(b"\x1b[C")
            top.resize(100, 40)
            assert "busy" in await top.shows("[queues]")
            top.type(b"p")
            await top.shows("held")
            top.type(b"q")
            assert await top.ended() == 0
            assert top.drawn.endswith(LEFT)
            assert top.mode == top.before

        for end, code in ((b"\x03", 130), (signal.SIGTERM, 130)):
            with closing(OnATerminal(command, 80, 24)) as top:
                await top.shows("Limits now:")
                if isinstance(end, bytes):
                    top.type(end)
                else:
                    top.send(end)
                assert await top.ended() == code
                assert LEFT in top.drawn
                assert top.mode == top.before, end

        deaf = ["sh", "-c", 'trap "" HUP; exec "$0" "$@"', *command]
        with closing(OnATerminal(deaf, 80, 24)) as top:
            await top.shows("Limits now:")
            top.hang_up()
            await top.ended()


async def test_without_a_broker_it_says_so_and_draws_nothing() -> None:
    shown = await headrace("top", servers="127.0.0.1:1")
    assert shown.code == 2
    assert "nobody listens" in shown.err
