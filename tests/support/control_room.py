"""A control room of a test: a process of its own over the test's pipeline, and Chromium to look at it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from ops.admin.records import open_writer
from ops.brokers.ready import free_ports
from ops.processes.fleet import WorkerProcess
from tests.support.pipeline import Pipeline, wait_until

AXE: Final = Path(__file__).parent / "vendor" / "axe.min.js"


@asynccontextmanager
async def control_room(settings_file: Path, log_file: Path) -> AsyncIterator[str]:
    """`headrace ui` with these settings; gives its address."""
    process = WorkerProcess("ui", settings_file, log_file, command="ui")
    try:
        await process.wait_ready(60)
        yield str(process.ready_line["listen"])
    finally:
        await process.stop(10)


def free_port() -> int:
    return free_ports(1)[0]


async def page(url: str, **headers: str) -> tuple[int, str]:
    """A page as a browser asks for it: status and text."""
    async with aiohttp.ClientSession() as http, http.get(url, headers={"Accept": "text/html", **headers}) as answer:
        return answer.status, await answer.text()


async def poison(pipeline: Pipeline, key: bytes) -> None:
    """A record that is no request."""
    async with open_writer(pipeline.client_options) as producer:
        await producer.send_and_wait(pipeline.names.topic_of["low"], b"no json", key)


def chromium() -> str:
    """The path of the Chromium of this machine; skips the test where there is none, or nothing to drive it."""
    pytest.importorskip("playwright", reason="playwright is not installed (the dev group has it)")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    return found


@asynccontextmanager
async def browser(path: str) -> AsyncIterator[Any]:
    """A Chromium, as playwright has it."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield launched
        finally:
            await launched.close()


async def until_true(page: Any, expression: str, timeout_s: float = 60.0) -> None:
    """Until this JavaScript is true in the page. TimeoutError if it does not become so.

    Asked from outside: Playwright's `wait_for_function` evaluates text within the page, which the pages' own policy forbids
    (script-src 'self') from the second look on.
    """

    async def is_true() -> bool:
        return bool(await page.evaluate(expression))

    await wait_until(is_true, timeout_s)
