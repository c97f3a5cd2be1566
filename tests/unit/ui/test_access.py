"""Who may: sessions, tokens of forms, tries; and the middleware, asked as browsers and others ask."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from ops.ui.access import SESSION_COOKIE, Access, role_of
from ops.ui.pages.login import _inside
from ops.ui.responses import secured
from ops.ui.sessions import SESSION_S, LoginTries, Role, Sessions
from streams.settings.ui import Ui

NOW = 1_780_000_000.0
TOKENS: Mapping[Role, str] = {"viewer": "see-only", "operator": "may-act"}


@asynccontextmanager
async def asked(
    ui: Ui, tokens: Mapping[Role, str]
) -> AsyncIterator[tuple[TestClient[web.Request, web.Application], Access]]:
    access = Access(ui, Sessions(tokens), lambda: NOW)

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=f"{role_of(request)} {access.may_see_payloads(request)}")

    app = web.Application(middlewares=[secured(), access.middleware()])
    app.add_routes([web.get("/", page), web.post("/", page), web.get("/login", page)])
    async with TestClient(TestServer(app)) as client:
        yield client, access


async def test_on_loopback_without_tokens_everybody_is_a_viewer() -> None:
    async with asked(Ui(), {}) as (client, _):
        assert await (await client.get("/")).text() == "viewer True"


async def test_on_loopback_everybody_may_act_only_where_it_was_allowed_and_no_token_is_asked_for() -> None:
    async with asked(Ui(allow_actions=True), {}) as (client, access):
        assert await (await client.get("/")).text() == "operator True"
        assert access.may_act
        assert (await client.post("/", headers={"Sec-Fetch-Site": "cross-site"})).status == 403
    async with asked(Ui(allow_actions=True), TOKENS) as (client, _):
        assert (await client.get("/")).status == 401
        assert await (await client.get("/", headers={"Authorization": "Bearer see-only"})).text() == "viewer True"


async def test_with_tokens_nobody_is_let_in_without_one() -> None:
    async with asked(Ui(), TOKENS) as (client, access):
        assert (await client.get("/")).status == 401
        to_login = await client.get("/?a=b&c=d", headers={"Accept": "text/html"}, allow_redirects=False)
        login = URL(to_login.headers["Location"])
        assert (to_login.status, login.path, login.query["to"]) == (303, "/login", "/?a=b&c=d")
        for role, token in TOKENS.items():
            bearer = await client.get("/", headers={"Authorization": f"Bearer {token}"})
            cookie = await client.get("/", headers={"Cookie": f"{SESSION_COOKIE}={access.sessions.open(role, NOW)}"})
            assert await bearer.text() == await cookie.text() == f"{role} True"
        assert (await client.get("/", headers={"Authorization": "Bearer see-onl"})).status == 401


@pytest.mark.parametrize("host", ["evil.example", "evil.example:4001", "127.0.0.1.evil.example", ""])
async def test_another_name_that_leads_here_is_refused(host: str) -> None:
    async with asked(Ui(), {}) as (client, _):
        answer = await client.get("/", headers={"Host": host})
        assert (answer.status, answer.headers["X-Content-Type-Options"]) == (403, "nosniff")


async def test_a_name_of_the_settings_is_ours() -> None:
    async with asked(Ui(hosts=["room.example"]), {}) as (client, _):
        assert (await client.get("/", headers={"Host": "room.example:4001"})).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ],
)
async def test_a_form_of_another_site_posts_nothing(headers: dict[str, str]) -> None:
    async with asked(Ui(), {}) as (client, _):
        assert (await client.post("/", headers=headers)).status == 403
        assert (await client.post("/", headers={"Sec-Fetch-Site": "same-origin"})).status == 200


async def test_a_proxys_header_is_believed_from_its_address_alone() -> None:
    proxy = {"header": "X-Forwarded-User", "addresses": ["127.0.0.1"], "operators": ["ann"]}
    async with asked(Ui.model_validate({"proxy": proxy, "payloads": "operator"}), {}) as (client, _):
        assert (await client.get("/")).status == 401
        assert await (await client.get("/", headers={"X-Forwarded-User": "ann"})).text() == "operator True"
        assert await (await client.get("/", headers={"X-Forwarded-User": "bob"})).text() == "viewer False"
    proxy["addresses"] = ["10.0.0.1"]
    async with asked(Ui.model_validate({"proxy": proxy}), {}) as (client, _):
        assert (await client.get("/", headers={"X-Forwarded-User": "ann"})).status == 401


@pytest.mark.parametrize(
    ("payloads", "role", "may"),
    [("nobody", "operator", "False"), ("operator", "viewer", "False"), ("operator", "operator", "True")],
)
async def test_payloads_are_switched_off_by_role(payloads: str, role: Role, may: str) -> None:
    async with asked(Ui.model_validate({"payloads": payloads}), TOKENS) as (client, _):
        answer = await client.get("/", headers={"Authorization": f"Bearer {TOKENS[role]}"})
        assert await answer.text() == f"{role} {may}"


async def test_every_answer_forbids_scripts_frames_and_guesses() -> None:
    async with asked(Ui(), TOKENS) as (client, _):
        for path in ("/login", "/", "/nothing"):
            headers = (await client.get(path)).headers
            policy = headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")


def test_a_session_ends_by_time_by_another_key_and_by_any_change() -> None:
    sessions = Sessions(TOKENS)
    cookie = sessions.open("viewer", NOW)
    assert sessions.role_of_session(cookie, NOW + SESSION_S - 2) == "viewer"
    assert sessions.role_of_session(cookie, NOW + SESSION_S + 2) is None
    assert Sessions(TOKENS).role_of_session(cookie, NOW) is None
    assert sessions.role_of_session(cookie.replace("viewer", "operator"), NOW) is None
    for broken in ("", ".", "..", "viewer", "viewer.9999999999.", cookie + "0", "ü.1.2"):
        assert sessions.role_of_session(broken, NOW) is None


def test_a_form_is_ours_once_both_halves_are_and_for_an_hour() -> None:
    sessions = Sessions(TOKENS)
    token = sessions.form_token(NOW)
    assert sessions.is_form_token(token, token, NOW + 3599)
    assert not sessions.is_form_token(token, token, NOW + 3601)
    assert not sessions.is_form_token(token, sessions.form_token(NOW), NOW)
    assert not sessions.is_form_token("", "", NOW)
    assert not sessions.is_form_token(sessions.open("viewer", NOW), sessions.open("viewer", NOW), NOW)


def test_after_five_failed_tries_an_address_waits_a_minute_and_no_other_does() -> None:
    tries = LoginTries()
    for second in range(5):
        assert tries.wait_s("10.0.0.1", NOW + second) == 0
        tries.failed("10.0.0.1", NOW + second)
    assert tries.wait_s("10.0.0.1", NOW + 5) == 55
    assert tries.wait_s("10.0.0.2", NOW + 5) == 0
    assert tries.wait_s("10.0.0.1", NOW + 60.5) == 0


def test_many_addresses_together_wait_too_and_take_no_memory_without_end() -> None:
    tries = LoginTries()
    for number in range(5000):
        tries.failed(f"10.0.{number // 250}.{number % 250}", NOW)
    assert tries.wait_s("10.9.9.9", NOW) == 60
    assert len(tries._of) == 1000


@pytest.mark.parametrize(
    "to", ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:x", "", "/\n/evil", "/" * 2]
)
def test_after_a_login_nobody_is_sent_elsewhere(to: str) -> None:
    """linagora/openrag#483 (a backslash), netbox-community/netbox#9950 (two slashes)."""
    assert _inside(to) == "/"
