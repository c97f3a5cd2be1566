"""Actions from the pages: by mouse and by keyboard in a real Chromium, by forms and the API, and by nobody who may not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from tests.integration.test_redrive import bury, control, redriven
from tests.integration.test_ui_browser import listen
from tests.support.cli import headrace
from tests.support.control_room import AXE, browser, chromium, control_room, page
from tests.support.pipeline import Pipeline, wait_until
from tests.support.positions import read_all
from topics.names import ADMIN, RESPONSES

JSON = {"content-type": "application/json"}


async def asked_of(pipeline: Pipeline) -> list[dict[str, Any]]:
    found = [orjson.loads(each.value) for each in await read_all(pipeline.client_options, [ADMIN])]
    return [each for each in found if "state" not in each]


@pytest.mark.long
async def test_one_action_by_mouse_and_one_by_keyboard(pipeline: Pipeline, tmp_path: Path) -> None:
    path = chromium()
    settings = pipeline.settings(
        ui__listen="127.0.0.1:0", ui__path=str(tmp_path / "ui"), ui__allow_actions=True, metrics__interval="1s"
    )
    await bury(pipeline, 12)
    process = control(pipeline, "c0")
    async with pipeline.fleet(
        ui__listen="127.0.0.1:0", ui__path=str(tmp_path / "ui"), ui__allow_actions=True, metrics__interval="1s"
    ) as fleet:
        try:
            await asyncio.gather(fleet.start(1), process.wait_ready(60))
            async with control_room(settings, tmp_path / "ui.log") as url, browser(path) as chrome:
                shown = await chrome.new_page()
                wrong, asked = listen(shown)
                await shown.goto(f"{url}/queues")  # by mouse
                await shown.get_by_role("button", name="Pause low").click()
                await shown.wait_for_url("**/act?**")
                assert "requests have no answer yet" in await shown.inner_text(".verdict")
                assert await asked_of(pipeline) == [], "so far it has only counted"
                found = await shown.evaluate(AXE.read_text() + "; axe.run()")
                assert [v["id"] for v in found["violations"] if v["impact"] in ("serious", "critical")] == []
                await shown.fill("#reason", "a <b>test</b>")
                await shown.click("#do")
                await shown.wait_for_url("**/audit?id=**")
                await shown.locator("tbody .status.done").wait_for()
                assert "a <b>test</b>" in await shown.inner_text("tbody")
                await shown.goto(f"{url}/queues")
                await shown.get_by_role("button", name="Resume low").wait_for()

                await shown.goto(f"{url}/dead-letters")  # by keyboard
                await shown.focus("select[name=reason]")
                await shown.keyboard.type("exhausted")
                for _ in range(7):
                    await shown.keyboard.press("Tab")
                await shown.keyboard.press("Tab")
                assert await shown.evaluate("document.activeElement.innerText") == "Count them"
                await shown.keyboard.press("Enter")
                await shown.wait_for_url("**/act?**")
                assert (await shown.inner_text(".verdict")).startswith("12 dead letters will be sent again")
                await shown.focus("#reason")
                await shown.keyboard.press("Tab")
                await shown.keyboard.press("Enter")
                await shown.wait_for_url("**/audit?id=**")
                await shown.get_by_text("done 12 sent again").wait_for(timeout=60_000)

                async def all_are_answered() -> bool:
                    """What was sent again is no duplicate for the workers (kalaspuff/tomodachi#2074)."""
                    return len(await read_all(pipeline.client_options, [RESPONSES])) == 12

                await wait_until(all_are_answered, 60)
                assert wrong == []
                assert [each for each in asked if not each.startswith((url, "data:"))] == []
        finally:
            await process.stop(10)
    assert len(await redriven(pipeline)) == 12
    assert [each["action"] for each in await asked_of(pipeline)] == ["pause", "redrive"]
    listed = await headrace("audit", "--json", settings=settings)
    actions = orjson.loads(listed.out)["actions"]
    assert [(each["action"]["action"], each["state"]) for each in actions] == [("redrive", "done"), ("pause", "done")]
    assert "operator at 127.0.0.1" in (await headrace("audit", settings=settings)).out


async def test_whoever_may_not_act_changes_nothing_and_sees_no_buttons(pipeline: Pipeline, tmp_path: Path) -> None:
    settings = pipeline.settings(ui__listen="127.0.0.1:0", ui__path=str(tmp_path / "ui"))
    pause = orjson.dumps({"action": "pause", "priority": "low"})
    async with control_room(settings, tmp_path / "ui.log") as url, aiohttp.ClientSession() as http:
        for place in ("/queues", "/dead-letters", "/providers"):
            status, text = await page(url + place)
            assert (status, "/act" in text) == (200, False)
        assert (await page(f"{url}/act?action=pause&priority=low"))[0] == 403
        assert (await http.post(f"{url}/act", data={"asked": pause.decode()})).status == 403
        assert (await http.post(f"{url}/api/actions", data=pause, headers=JSON)).status == 403
        assert (await page(f"{url}/audit"))[0] == 200
    assert await asked_of(pipeline) == []


async def test_an_operator_acts_by_forms_of_ours_and_by_json_alone(pipeline: Pipeline, tmp_path: Path) -> None:
    settings = pipeline.settings(ui__listen="127.0.0.1:0", ui__path=str(tmp_path / "ui"), ui__allow_actions=True)
    pause: dict[str, Any] = {"action": "pause", "priority": "low"}
    async with control_room(settings, tmp_path / "ui.log") as url, aiohttp.ClientSession() as http:
        for forged in ({"asked": "{}"}, {"asked": orjson.dumps(pause).decode(), "form": "1-2.3"}):
            assert (await http.post(f"{url}/act", data=forged)).status == 403, "a form without the page's token"
        crossed = {**JSON, "Origin": "http://evil.example"}
        assert (await http.post(f"{url}/api/actions", json=pause, headers=crossed)).status == 403
        assert (await http.post(f"{url}/api/actions", data=orjson.dumps(pause))).status == 415
        for bad in ({"action": "format"}, {"action": "purge"}, {"action": "pause", "priority": "urgent"}, [1]):
            assert (await http.post(f"{url}/api/actions", json=bad)).status == 400
        assert await asked_of(pipeline) == []
        dry = await (await http.post(f"{url}/api/actions?dry_run=1", json=pause)).json()
        assert (dry["dry_run"], dry["touches"]) == (True, 0)
        forged_by = {**pause, "requested_by": "somebody else", "action_id": "mine"}
        taken = await http.post(f"{url}/api/actions", json=forged_by)
        assert taken.status == 202
        (asked,) = await asked_of(pipeline)
        assert (asked["requested_by"], asked["action_id"] == "mine") == ("operator at 127.0.0.1", False)
        cancel = {"action": "cancel", "request_id": "r-1", "agent_id": "agent-1"}
        assert (await http.post(f"{url}/api/actions", json=cancel)).status == 202

        async def is_listed() -> bool:
            listed = await (await http.get(f"{url}/api/audit")).json()
            return [(each["action"]["action"], each["state"]) for each in listed["actions"]] == [
                ("cancel", "done"), ("pause", "asked"),
            ]  # fmt: skip

        await wait_until(is_listed, 60)
