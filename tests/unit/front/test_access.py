"""Who is let in: a real HTTP server around the middleware, with keys in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from streams.front.access import Access, admit
from streams.front.inbound import read_inbound
from streams.front.keys.ring import KeyRing
from streams.front.keys.secret import hash_of, new_key
from streams.front.problem_response import refusal
from streams.front.problems import ProblemError

SECRET = new_key(bytes(range(32)))
CHAT = {"model": "small", "messages": [{"role": "user", "content": "hi"}]}
BEARER = {"authorization": f"Bearer {SECRET}"}


def ring(**fields: Any) -> KeyRing:
    made = KeyRing()
    value = orjson.dumps({"name": "team-a", "created": "2026-01-01T00:00:00Z", **fields})
    made.note((hash_of(SECRET) or "").encode(), value)
    return made


@asynccontextmanager
async def serving(keys: KeyRing, *, always: bool = False, **given: Any) -> AsyncIterator[tuple[Any, str]]:
    """A session, and the address of a server that tells which request it would publish."""
    access = Access(keys, always=always, **given)

    async def ask(request: web.Request) -> web.Response:
        try:
            headers = {name.lower(): value for name, value in request.headers.items()}
            inbound = admit(read_inbound("chat.completions", headers, await request.read()))
        except ProblemError as error:
            return refusal(error.problem, request.path)
        return web.json_response({"agent": inbound.agent_id, "value": orjson.loads(inbound.value("r1"))["agent_id"]})

    app = web.Application(middlewares=[access.middleware()])
    app.add_routes([web.post("/v1/chat/completions", ask), web.post("/v1/messages", ask)])
    app.add_routes([web.get(path, _ok) for path in ("/v1/models", "/healthz")])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession() as http:
            yield http, "http://127.0.0.1:{1}".format(*runner.addresses[0])
    finally:
        await runner.cleanup()


async def _ok(_: web.Request) -> web.Response:
    return web.Response(text="ok")


async def ask(http: Any, url: str, headers: dict[str, str] | None = None, **fields: Any) -> tuple[int, Any, Any]:
    async with http.post(f"{url}/v1/chat/completions", json=CHAT | fields, headers=headers or {}) as answer:
        return answer.status, await answer.json(), answer.headers


async def test_without_keys_the_front_is_open_to_programs_of_this_machine() -> None:
    async with serving(KeyRing()) as (http, url):
        assert (await ask(http, url))[:2] == (200, {"agent": "http", "value": "http"})
        assert (await ask(http, url, BEARER))[0] == 200  # SDKs always send some key
        assert (await ask(http, url, {"host": "localhost:4000"}))[0] == 200
        assert (await ask(http, url, {"origin": url}))[0] == 200


@pytest.mark.parametrize(
    "headers", [{"host": "evil.example"}, {"host": ""}, {"origin": "https://evil.example"}, {"origin": "null"}]
)
async def test_without_keys_no_page_of_another_site_is_served(headers: dict[str, str]) -> None:
    async with serving(KeyRing()) as (http, url):
        assert (await ask(http, url, headers))[0] == 403
    async with serving(KeyRing(), hosts=["evil.example"]) as (http, url):
        assert (await ask(http, url, {"host": "evil.example"}))[0] == 200


async def test_from_the_first_key_on_every_request_needs_one_and_it_stays_so() -> None:
    keys = ring()
    async with serving(keys) as (http, url):
        assert (await ask(http, url))[0] == 401
        assert (await ask(http, url, BEARER))[:2] == (200, {"agent": "team-a", "value": "team-a"})
        keys.clear()
        assert (await ask(http, url))[0] == 401


async def test_a_key_comes_by_either_header_and_one_good_one_is_enough() -> None:
    async with serving(ring()) as (http, url):
        for headers in (
            {"x-api-key": SECRET},
            {"authorization": f"bearer  {SECRET} "},
            {"authorization": "Bearer none", "x-api-key": SECRET},
            {"authorization": f"Bearer {SECRET}", "x-api-key": "none"},
        ):
            assert (await ask(http, url, headers))[0] == 200, headers
        for headers in ({"authorization": f"Basic {SECRET}"}, {"authorization": SECRET}, {"x-api-key": SECRET[:-1]}):
            assert (await ask(http, url, headers))[0] == 401, headers


@pytest.mark.parametrize(
    "keys",
    [lambda: ring(revoked=True), lambda: ring(expires="2020-01-01T00:00:00Z"), KeyRing],
    ids=["revoked", "expired", "unknown"],
)
async def test_a_refusal_is_the_apis_own_and_repeats_nothing_of_the_key(keys: Callable[[], KeyRing]) -> None:
    """An expired key came back in an error (BerriAI/litellm#18731), its hash in another (hivecommons/hive#1903)."""
    async with serving(keys(), always=True) as (http, url):
        status, body, headers = await ask(http, url, BEARER)
        assert (status, body["error"]["code"]) == (401, "invalid_api_key")
        assert headers["x-should-retry"] == "false"
        async with http.post(f"{url}/v1/messages", json=CHAT, headers={"x-api-key": SECRET}) as answer:
            anthropic = await answer.json()
        assert (answer.status, anthropic["type"], anthropic["error"]["type"]) == (401, "error", "authentication_error")
        said = f"{body}{dict(headers)}{anthropic}{dict(answer.headers)}"
        assert SECRET not in said
        assert (hash_of(SECRET) or "")[:12] not in said


async def test_a_key_may_name_its_agents_classes_and_models_and_no_others() -> None:
    keys = ring(agents="team-a-*", classes=["normal"], models=["small", "s-*"])
    async with serving(keys) as (http, url):
        assert (await ask(http, url, BEARER, user="team-a-7"))[1]["value"] == "team-a-7"
        assert (await ask(http, url, BEARER))[1]["value"] == "team-a"
        for code, headers, fields in (
            ("agent_not_allowed", {"x-headrace-agent": "team-b"}, {}),
            ("agent_not_allowed", {}, {"user": "team-b"}),
            ("agent_not_allowed", {}, {"safety_identifier": "x", "user": "team-a-1"}),
            ("class_not_allowed", {"x-headrace-class": "high"}, {}),
            ("class_not_allowed", {}, {"service_tier": "priority"}),
            ("model_not_allowed", {}, {"model": "large"}),
        ):
            status, body, _ = await ask(http, url, BEARER | headers, **fields)
            assert (status, body["error"]["code"]) == (403, code)


async def test_over_its_rate_a_key_is_told_when_to_come_again() -> None:
    clock = [1000.0]
    async with serving(ring(rate=2), monotonic=lambda: clock[0]) as (http, url):
        assert [(await ask(http, url, BEARER))[0] for _ in range(2)] == [200, 200]
        status, body, headers = await ask(http, url, BEARER)
        assert (status, body["error"]["type"], headers["x-should-retry"]) == (429, "rate_limit_error", "true")
        async with http.get(f"{url}/v1/models", headers=BEARER) as answer:
            assert answer.status == 200  # looking costs nothing
        clock[0] += int(headers["retry-after-ms"]) / 1000
        assert (await ask(http, url, BEARER))[0] == 200


async def test_the_next_request_of_a_connection_is_held_to_its_own_key() -> None:
    keys = ring(models=["small"])
    other = new_key(bytes(32))
    keys.note((hash_of(other) or "").encode(), b'{"name": "b", "created": "2026-01-01T00:00:00Z"}')
    async with serving(keys) as (_, url), aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as http:
        assert (await ask(http, url, {"x-api-key": other}, model="large"))[1]["agent"] == "b"
        assert (await ask(http, url, BEARER, model="large"))[0] == 403
        assert (await ask(http, url))[0] == 401


async def test_paths_that_are_none_need_a_key_too_and_health_needs_none() -> None:
    async with serving(ring(), now=lambda: datetime(2026, 1, 1, tzinfo=UTC)) as (http, url):
        for path, expected in (("/nothing", 401), ("/v1/models", 401), ("/healthz", 200)):
            async with http.get(url + path) as answer:
                assert answer.status == expected, path
