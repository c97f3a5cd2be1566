"""Windows of costs, and budgets of front keys, over a real broker: the provider's own book is the judge."""

from __future__ import annotations

import csv
import re
from datetime import UTC, datetime
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, get_args

import aiohttp
import orjson
import pytest

from ops.admin.actions import read_all as read_admin
from ops.admin.cost import By, name_of, sum_answers, sum_windows
from ops.processes.fleet import Fleet, WorkerProcess
from ops.ui.pages.cost import budget_lines
from schemas.admin import BudgetMark
from schemas.cost import PICO
from schemas.cost_window import CostRow
from streams.actions.wire import Noted
from streams.settings import load_settings
from tests.integration.test_front_keys import keys
from tests.support.cli import headrace
from tests.support.control_room import control_room
from tests.support.money import chat, paid, with_money
from tests.support.pipeline import Pipeline, wait_until

pytestmark = pytest.mark.timeout(240)
SECRET = "0123456789abcdef" * 2
_LISTENS = re.compile(r"http://127\.0\.0\.1:\d+")


async def ask(http: aiohttp.ClientSession, url: str, key: str, number: int, agent: str) -> tuple[int, Any]:
    payload = chat(f"front-{number}")["payload"] | {"user": agent}
    async with http.post(f"{url}/v1/chat/completions", json=payload, headers={"x-api-key": key}) as answer:
        return answer.status, await answer.json()


def of_row(by: By, _minute: int, row: CostRow) -> str:
    return name_of(by, row)


async def text_of(http: aiohttp.ClientSession, path: str) -> str:
    async with http.get(path) as answer:
        assert answer.status == 200, path
        return await answer.text()


async def test_windows_keys_and_marks_say_what_the_provider_was_paid(pipeline: Pipeline, tmp_path: Path) -> None:
    await pipeline.simulator.configure(cached_share=0.25, reasoning_share=0.5)
    (tmp_path / "secret").write_text(SECRET)
    budget = {"scope": "key", "name": "bot", "period": "day", "amount": "1"}
    settings = with_money(
        pipeline.settings(
            ui__listen="127.0.0.1:0",
            ui__path=str(tmp_path / "ui"),
            front__listen="127.0.0.1:0",
            fleet__secret_file=str(tmp_path / "secret"),
        ),
        [budget],
    )
    loaded = load_settings(settings)
    front = WorkerProcess("front", settings, tmp_path / "front.log", command="front")
    try:
        async with Fleet(settings, pipeline.directory) as fleet, pipeline.traffic() as traffic:
            await fleet.start(1)
            await front.wait_ready()
            url = _LISTENS.findall(front.log_text())[0]
            key = orjson.loads(await keys(settings, "create", "bot", "--agents", "*", "--json"))["key"]
            async with aiohttp.ClientSession() as http:
                answered = [await ask(http, url, key, number, f"a-{number % 3}") for number in range(14)]
            forged = [("front_key", b"1.00000000.1767225600000.AAAA bot")]
            for number in range(3):
                await traffic.send("normal", "k-1", chat(f"kafka-{number}"), headers=forged)
            assert await traffic.wait_answered(60)
    finally:
        await front.stop()

    ok = [body for status, body in answered if status == 200]
    status, refused = answered[-1]
    assert 7 <= len(ok) < 14, [each for each in answered if each[0] not in (200, 402)]
    assert status == 402
    assert "the budget key/bot/day of bot has no room" in refused["error"]["message"]
    assert re.search(r"begins again at \d{4}-\d\d-\d\dT00:00:00Z", refused["error"]["message"])

    made = await pipeline.simulator.generations()
    expected = sum(map(paid, made.values()), Fraction(0))
    for by in get_args(By):
        found = await sum_windows(loaded, partial(of_row, by), 0.0)
        assert sum(each.pico for _, each in found.sums) == expected * PICO, by
        assert found.malformed == 0
        if by != "key":
            rows = [each.row(name) for name, each in found.sums]
            assert rows == await sum_answers(loaded, by, 0)
        else:
            spent = {name: each.requests for name, each in found.sums}
            assert spent == {"bot": len(ok), "-": 3}  # who only says that it is the key spends nothing of it
    told = await headrace("cost", "--by", "key", "--json", settings=settings)
    assert {row["name"] for row in map(orjson.loads, told.out.splitlines())} == {"bot", "-"}

    export = tmp_path / "export.csv"
    export.write_text(f"usage_date_utc,model,cost_usd\n{datetime.now(UTC):%Y-%m-%d},small,1.00\n")
    compared = await headrace("cost", "reconcile", str(export), "--provider", "sim", settings=settings)
    assert (compared.code, compared.out) == (2, "")
    assert "no day can be compared" in compared.err

    marks: list[BudgetMark] = []

    def note(noted: Noted) -> None:
        if isinstance(noted.record, BudgetMark):
            marks.append(noted.record)

    await read_admin(loaded, note)
    assert [(mark.budget, mark.name, mark.share) for mark in marks] == [
        ("key/bot/day", "bot", "50%"), ("key/bot/day", "bot", "80%"),
    ]  # fmt: skip
    async with control_room(settings, tmp_path / "ui.log") as url, aiohttp.ClientSession(url) as http:
        for by in ("key", "agent"):
            commanded = (await headrace("cost", "--by", by, "--csv", "--since", "24h", settings=settings)).out
            async with http.get(f"/cost.csv?by={by}&since=24h") as answer:
                assert (answer.status, answer.content_type) == (200, "text/csv")
                assert [row[:8] for row in csv.reader((await answer.text()).splitlines())] == list(
                    csv.reader(commanded.splitlines())
                )
        page = await text_of(http, "/cost?by=key&since=24h")
        row = next(row for row in map(orjson.loads, told.out.splitlines()) if row["name"] == "bot")
        assert f'<td class="number">{row["cost"]}</td>' in page
        assert "50%, 80%" in page
        assert (await http.get("/cost?by=nonsense")).status == 400
        one: re.Match[str] | None = None

        async def indexed() -> bool:
            nonlocal one
            one = re.search(r'href="(/requests/normal/\d+/\d+)"', await text_of(http, "/requests?agent=a-0&status=ok"))
            return one is not None

        await wait_until(indexed, 60)
        assert one is not None
        assert re.search(r"<dt>Cost</dt><dd>0\.\d+ USD</dd>", await text_of(http, one[1]))
    (line,) = await budget_lines(loaded)
    by_key = await sum_windows(loaded, lambda _, row: row.key, 0.0)
    assert Fraction(line.spent) * PICO == dict(by_key.sums)["bot"].pico
    assert line.reached == ("50%", "80%")


@pytest.mark.long
async def test_a_worker_that_is_killed_leaves_what_it_told_and_the_answers_have_the_rest(pipeline: Pipeline) -> None:
    settings = with_money(pipeline.settings(kafka__session_timeout="3s"), [])
    loaded = load_settings(settings)
    async with Fleet(settings, pipeline.directory) as fleet, pipeline.traffic() as traffic:
        await fleet.start(1)
        for number in range(20):
            await traffic.send("normal", "a", chat(f"c-{number}"))
        assert await traffic.wait_answered(60)

        async def told() -> bool:
            """All twenty: what was made known by a window that ended between them is not all."""
            sums = (await sum_windows(loaded, lambda _, each: each.agent, 0.0)).sums
            made = await pipeline.simulator.generations()
            return sum(each.pico for _, each in sums) == sum(map(paid, made.values()), Fraction(0)) * PICO

        await wait_until(told, 60)
        fleet.workers[0].kill()
        await fleet.replace(fleet.workers[0], ready_within_s=60.0)
        for number in range(20, 30):
            await traffic.send("normal", "a", chat(f"c-{number}"))
        assert await traffic.wait_answered(60)
    (row,) = await sum_answers(loaded, "agent", 0)
    ((_, windows),) = (await sum_windows(loaded, lambda _, each: each.agent, 0.0)).sums
    made = await pipeline.simulator.generations()
    assert Fraction(row["cost"]) == sum(map(paid, made.values()))
    assert windows.pico == Fraction(row["cost"]) * PICO
