"""The pages in a real Chromium: nothing on the console, readable for everybody, usable by keyboard, quiet in a hidden tab."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.control_room import AXE, browser, chromium, control_room, poison, until_true
from tests.support.pipeline import Pipeline, request

PAGES = (
    "/", "/queues", "/requests?since=1h", "/tail", "/dead-letters", "/limits", "/cost", "/providers", "/scaling",
    "/scaling/what-if?limits.max=4", "/cache", "/settings?all=1", "/audit",
)  # fmt: skip
VIEWS = (("light", 1280), ("dark", 360))


def listen(page: Any) -> tuple[list[str], list[str]]:
    """What goes wrong, and what is asked for, from now on."""
    wrong: list[str] = []
    asked: list[str] = []
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda each: asked.append(each.url))
    return wrong, asked


@pytest.mark.long
async def test_every_page_in_both_schemes_wide_and_narrow_and_by_keyboard(pipeline: Pipeline, tmp_path: Path) -> None:
    path = chromium()
    changed = {"ui__listen": "127.0.0.1:0", "ui__path": str(tmp_path / "ui"), "metrics__interval": "1s"}
    async with pipeline.fleet(**changed) as fleet, pipeline.traffic() as traffic:
        await fleet.start(1)
        for number in range(60):
            await traffic.send("normal", f"agent-{number % 7}", request(f"seen-{number}"))
        await poison(pipeline, b"<b>key</b>")
        await traffic.wait_answered(60)
        async with control_room(tmp_path / "headrace.toml", tmp_path / "ui.log") as url, browser(path) as chrome:
            for scheme, width in VIEWS:
                context = await chrome.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
                page = await context.new_page()
                wrong, asked = listen(page)
                await page.goto(f"{url}/requests")
                one = await page.locator("table.requests tbody a").first.get_attribute("href")
                for each in (*PAGES, one):
                    await page.goto(url + each)
                    await page.wait_for_timeout(300)
                    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (each, width)
                    found = await page.evaluate(AXE.read_text() + "; axe.run()")
                    bad = [v["id"] for v in found["violations"] if v["impact"] in ("serious", "critical")]
                    assert not bad, (each, scheme, bad)
                assert wrong == []
                assert [each for each in asked if not each.startswith((url, "data:"))] == []
                await context.close()
            await check_keyboard(chrome, url)
            await check_a_refresh(chrome, url)


async def check_keyboard(chrome: Any, url: str) -> None:
    page = await chrome.new_page()
    await page.goto(url)
    await page.keyboard.press("/")
    await page.keyboard.type("seen-7")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/requests/normal/**")
    await page.keyboard.press("Escape")
    await page.locator("main").focus()
    await page.keyboard.press("g")
    await page.keyboard.press("r")
    await page.wait_for_url("**/requests")
    await page.fill("input[name=agent]", "agent-3")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**agent=agent-3**")
    await until_true(
        page, "[...document.querySelectorAll('tbody td:nth-child(4)')].every(td => td.innerText === 'agent-3')"
    )
    await page.reload()
    assert await page.input_value("input[name=agent]") == "agent-3"
    await page.close()


async def check_a_refresh(chrome: Any, url: str) -> None:
    """The overview stays current while it is seen, and asks nothing once it is hidden."""
    page = await chrome.new_page()
    wrong, asked = listen(page)
    async with page.expect_response(
        lambda answer: answer.url == f"{url}/" and answer.request.resource_type != "document"
    ):
        await page.goto(url)
    await until_true(
        page, "document.querySelectorAll('#overview').length === 1 && document.querySelector('.chart canvas')"
    )
    await page.evaluate(
        "Object.defineProperty(document, 'visibilityState', {value: 'hidden'});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    await page.wait_for_timeout(500)
    asked.clear()
    await page.wait_for_timeout(5000)
    assert asked == []
    assert wrong == []
    await page.close()
