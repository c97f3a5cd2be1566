"""The control room over a real broker, worker and simulator: what it shows is what was asked and answered."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from ops.processes.child import ChildProcess
from ops.processes.fleet import clean_environment, headrace_command
from tests.support.control_room import control_room, free_port, page, poison
from tests.support.pipeline import Pipeline, request

HOSTILE = '<img src=x onerror="alert(1)">'


async def shown(url: str, condition: Callable[[str], bool], within_s: float = 30) -> str:
    """The page, once it fits."""
    async with asyncio.timeout(within_s):
        while True:
            _, text = await page(url)
            if condition(text):
                return text
            await asyncio.sleep(0.2)


async def test_requests_answers_and_dead_letters_are_found_and_a_restart_goes_on(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    changed = {"ui__listen": f"127.0.0.1:{free_port()}", "ui__path": str(tmp_path / "ui"), "metrics__interval": "1s"}
    async with pipeline.fleet(**changed) as fleet, pipeline.traffic() as traffic:
        await fleet.start(1)
        for number in range(20):
            await traffic.send("normal", f"agent-{number % 3}", request(f"good-{number}"))
        await traffic.send("high", HOSTILE, request("hostile"))
        await poison(pipeline, b"by-key")
        await traffic.wait_answered(60)
        async with control_room(tmp_path / "headrace.toml", tmp_path / "ui.log") as url:
            found = await shown(f"{url}/requests?status=ok", lambda text: "good-19" in text and "hostile" in text)
            assert found.count('class="status ok"') == 21
            assert HOSTILE not in found
            assert "&lt;img" in found
            only = await shown(f"{url}/requests?agent=agent-1", lambda text: "good-1<" in text)
            assert set(re.findall(r"good-\d+", only)) == {f"good-{n}" for n in range(1, 20, 3)}
            await shown(f"{url}/dead-letters", lambda text: "poison" in text)
            status, one = await page(f"{url}/find?id=good-7")
            assert status == 200
            assert "What is good-7?" not in one
            _, one = await page(
                re.sub("/find.*", "", url) + re.findall(r"/requests/normal/\d+/\d+", one)[0] + "?reveal=1"
            )
            assert "What is good-7?" in one
            assert "Called" in one
            overview = await shown(url, lambda text: "Workers</dt><dd>1" in text)
            assert "No worker reports" not in overview
            providers = await shown(f"{url}/providers", lambda text: "healthy" in text)
            assert pipeline.simulator.url in providers
            for path in (
                "/queues",
                "/tail",
                "/limits",
                "/scaling",
                "/scaling/what-if?limits.max=4",
                "/cache",
                "/settings?all=1",
            ):
                status, text = await page(url + path)
                assert (status, "<h1>" in text) == (200, True), path
        await traffic.send("normal", "agent-9", request("after"))
        await traffic.wait_answered(60)
        async with control_room(tmp_path / "headrace.toml", tmp_path / "ui.log") as url:
            found = await shown(f"{url}/requests", lambda text: "after" in text)
            assert found.count("<tr>") == 24  # the head, 21 good ones, one poison, one more
            log = (tmp_path / "ui.log").read_text()
    assert '"records":2,"event":"reading requests and answers' in log  # of the second start: what came since
    assert "a page failed" not in log


async def test_a_login_lets_in_who_has_the_token_and_tells_others_to_wait(pipeline: Pipeline, tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("let-me-see\n")
    settings = pipeline.settings(
        ui__listen="127.0.0.1:0", ui__path=str(tmp_path / "ui"), ui__viewer_token_file=str(secret)
    )
    cookies = aiohttp.CookieJar(unsafe=True)  # also those of an address
    room = control_room(settings, tmp_path / "ui.log")
    async with room as url, aiohttp.ClientSession(cookie_jar=cookies) as http:

        async def login(token: str) -> tuple[int, str]:
            async with http.get(f"{url}/login?to=/queues") as form:
                (form_token,) = re.findall(r'name="form" value="([^"]+)"', await form.text())
            fields = {"form": form_token, "token": token, "to": "/queues"}
            async with http.post(f"{url}/login", data=fields, allow_redirects=False) as answer:
                return answer.status, answer.headers.get("Location", "")

        async with http.post(f"{url}/login", data={"token": "let-me-see"}) as answer:
            assert answer.status == 403  # no form of ours
        assert await login("let-me-see") == (303, "/queues")
        async with http.get(f"{url}/queues") as answer:
            assert answer.status == 200
        assert [(await login("guess"))[0] for _ in range(6)] == [401] * 5 + [429]
    assert "let-me-see" not in (tmp_path / "ui.log").read_text()


async def test_pages_beyond_this_machine_want_a_login(pipeline: Pipeline, tmp_path: Path) -> None:
    settings = pipeline.settings(ui__listen="0.0.0.0:0", ui__path=str(tmp_path / "ui"))
    child = ChildProcess(headrace_command("ui", "--settings", str(settings)), tmp_path / "ui.log", clean_environment())
    try:
        async with asyncio.timeout(30):
            while child.alive():  # noqa: ASYNC110 - another process has no event for us
                await asyncio.sleep(0.1)
    finally:
        await asyncio.to_thread(child.stop)
    assert child.exit_code == 2
    assert "ui.viewer_token_env" in child.log_text()


@pytest.mark.long
async def test_headrace_up_starts_it(pipeline: Pipeline, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    settings = pipeline.settings(ui__listen=url.removeprefix("http://"), ui__path=str(tmp_path / "ui"))
    command = headrace_command("up", "--ui", "--workers", "1", "--controls", "0", "--settings", str(settings))
    up = ChildProcess(command, tmp_path / "up.log", clean_environment({"HEADRACE_LOGGING__FORMAT": "json"}))
    try:
        await until_served(lambda: page(url))
    finally:
        await asyncio.to_thread(up.stop, 40)
    assert up.exit_code == 0


async def until_served(ask: Callable[[], Awaitable[tuple[int, str]]]) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                status, _ = await ask()
            except aiohttp.ClientConnectionError:
                status = 0
            if status == 200:
                return
            await asyncio.sleep(0.2)
