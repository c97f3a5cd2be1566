"""Each page of the control room, tried by who has no login, and by a tenant with its key of the front: all refused.

A page that is added needs a row here.
"""

from __future__ import annotations

from typing import Any, Final, cast

import pytest
from aiohttp.test_utils import TestClient, TestServer

from ops.ui.access import Access
from ops.ui.app import ui_app
from ops.ui.room import Room
from ops.ui.sessions import Sessions
from streams.settings.ui import Ui

OPEN: Final = {("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/login"), ("POST", "/login"), ("GET", "/static")}
"""What answers without a login: health, the form, and files that are the same for everybody."""

LOCKED: Final = {
    ("GET", "/"), ("GET", "/requests"), ("GET", "/requests/high/0/1"), ("GET", "/queues"), ("GET", "/tail"),
    ("GET", "/tail/events"), ("GET", "/dead-letters"), ("GET", "/limits"), ("GET", "/providers"), ("GET", "/scaling"),
    ("GET", "/audit"), ("GET", "/api/audit"), ("GET", "/act"), ("POST", "/act"), ("POST", "/api/actions"),
    ("GET", "/cost"), ("GET", "/cost.csv"),
    ("GET", "/scaling/what-if"), ("GET", "/cache"), ("GET", "/settings"), ("GET", "/find"), ("GET", "/events"),
}  # fmt: skip
PATTERNS: Final = {"/requests/{class}/{partition}/{offset}": "/requests/high/0/1"}


class _LockedRoom:
    """Behind the lock there is nothing: a page that is let in fails."""

    def __init__(self) -> None:
        self.access = Access(Ui(), Sessions({"viewer": "see-only", "operator": "may-act"}))


def the_app() -> Any:
    return ui_app(cast("Room", _LockedRoom()), lambda: True)


def test_every_page_has_a_row() -> None:
    there = set()
    for route in the_app().router.routes():
        path = route.resource.canonical
        if route.method != "HEAD":
            there.add((route.method, PATTERNS.get(path, path)))
    assert there == OPEN | LOCKED


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer hr_" + "a" * 52}, {"x-api-key": "hr_" + "a" * 52}])
async def test_every_page_is_refused(headers: dict[str, str]) -> None:
    async with TestClient(TestServer(the_app())) as client:
        for method, path in sorted(LOCKED):
            answer = await client.request(method, path, headers=headers, allow_redirects=False)
            assert answer.status in (401, 403), (method, path)
            assert "hr_" not in await answer.text()
