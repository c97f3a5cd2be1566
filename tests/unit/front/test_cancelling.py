"""Clients that go away: what is cancelled, and when. A real HTTP server on loopback, no fleet behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from aiokafka.errors import KafkaError

from schemas.cancel import Cancel
from streams.front.cancelling import Cancelling
from streams.front.inbound import read_inbound
from tests.support.requests import until

BODY = b'{"model": "small", "messages": [{"role": "user", "content": "hi"}]}'
GRACE_S = 0.05


@dataclass
class Topic:
    """Takes cancels; refuses the first few."""

    refuses: int = 0
    sent: list[Cancel] = field(default_factory=list)

    async def send(self, cancel: Cancel) -> None:
        if self.refuses:
            self.refuses -= 1
            raise KafkaError("away")
        self.sent.append(cancel)

    def ids(self) -> list[str]:
        return [cancel.request_id for cancel in self.sent]


class Server:
    """A front's handler: it publishes a request under the name in the path, and waits for its answer."""

    def __init__(self, topic: Topic, grace_s: float = GRACE_S) -> None:
        self.cancelling = Cancelling(topic.send, grace_s)
        self.waits: dict[str, asyncio.Future[bytes]] = {}
        self.publish: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(0)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        headers = {key.lower(): value for key, value in request.headers.items()}
        answer = self.waits[name] = asyncio.get_running_loop().create_future()
        try:
            trip = self.cancelling.note(read_inbound("chat.completions", headers, BODY), name, answer)
            await self.publish()
            trip.record = "agent.requests.normal:0:7"
            return web.Response(body=await answer)
        finally:
            answer.cancel()


@asynccontextmanager
async def serving(topic: Topic, grace_s: float = GRACE_S) -> AsyncIterator[tuple[Server, str]]:
    server = Server(topic, grace_s)
    app = web.Application(middlewares=[server.cancelling.middleware()])
    app.add_routes([web.post("/{name}", server.handle)])
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.cancelling.start()
    try:
        yield server, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
        await server.cancelling.stop()


async def leave(server: Server, url: str, name: str, **headers: str) -> None:
    """Ask, and hang up while the answer is waited for."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    async with aiohttp.ClientSession() as http:
        asking = asyncio.create_task(http.post(f"{url}/{name}", headers=named))
        await until(lambda: name in server.waits)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    await until(server.waits[name].cancelled)


async def test_a_client_that_hangs_up_is_missed_after_the_grace_and_its_request_cancelled_by_its_record() -> None:
    topic = Topic()
    async with serving(topic) as (server, url):
        await leave(server, url, "a", **{"x-headrace-agent": "agent-1"})
        assert topic.ids() == []
        await until(lambda: topic.sent)
    (cancel,) = topic.sent
    assert (cancel.request_id, cancel.agent_id, cancel.record) == ("a", "agent-1", "agent.requests.normal:0:7")


@pytest.mark.parametrize(
    "headers", [{"Idempotency_Key": "k"}, {"x_headrace_class": "low"}, {"Prefer": "respond-async"}], ids=str
)
async def test_what_is_to_be_fetched_later_goes_on(headers: dict[str, str]) -> None:
    topic = Topic()
    async with serving(topic) as (server, url):
        await leave(server, url, "detached", **headers)
        await leave(server, url, "attached")
        await until(lambda: topic.sent)
    assert topic.ids() == ["attached"]


async def test_a_client_that_comes_back_in_the_grace_has_not_gone() -> None:
    topic = Topic()
    async with serving(topic, grace_s=0.3) as (server, url):
        await leave(server, url, "back")
        server.cancelling.came_back("back")
        await leave(server, url, "gone")
        await until(lambda: topic.sent)
    assert topic.ids() == ["gone"]


async def test_a_client_that_leaves_while_its_request_is_published_cancels_it_by_its_agent() -> None:
    """aio-libs/aiohttp#2595: the handler is cancelled in whatever it awaits, here the broker's ack."""
    topic, never = Topic(), asyncio.Event()

    async def publish() -> None:
        await never.wait()

    async with serving(topic) as (server, url):
        server.publish = publish
        await leave(server, url, "early")
        await until(lambda: topic.sent)
    (cancel,) = topic.sent
    assert (cancel.request_id, cancel.agent_id, cancel.record) == ("early", "http", None)


async def test_one_that_has_its_answer_is_not_cancelled() -> None:
    topic = Topic()
    async with serving(topic) as (server, url), aiohttp.ClientSession() as http:
        asking = asyncio.create_task(http.post(f"{url}/done"))
        await until(lambda: "done" in server.waits)
        server.waits["done"].set_result(b"{}")
        assert (await asking).status == 200
        await leave(server, url, "next")
        await until(lambda: topic.sent)
    assert topic.ids() == ["next"]


async def test_clients_that_are_sent_away_at_the_end_of_a_front_have_not_left() -> None:
    topic = Topic()
    async with serving(topic) as (server, url):
        server.cancelling.close()
        await leave(server, url, "a")
        await asyncio.sleep(3 * GRACE_S)
    assert topic.sent == []


async def test_cancels_that_the_broker_does_not_take_are_written_once_it_does() -> None:
    topic = Topic(refuses=2)
    async with serving(topic) as (server, url):
        await asyncio.gather(*(leave(server, url, name) for name in ("a", "b", "c")))
        await until(lambda: len(topic.sent) == 3)
    assert sorted(topic.ids()) == ["a", "b", "c"]


async def test_many_clients_that_go_away_at_once_send_no_more_cancels_at_once_than_their_topic_takes_in_one_batch() -> (
    None
):
    """A broker refuses a batch above the topic's `max.message.bytes` for good: sent again as one, it is refused again."""
    most_bytes, waiting, sent = 16 * 1024, list[Cancel](), list[Cancel]()

    async def send(cancel: Cancel) -> None:
        waiting.append(cancel)
        await asyncio.sleep(0)  # what comes in one turn leaves as one batch
        if sum(len(each.to_json()) + 200 for each in waiting) > most_bytes:
            raise KafkaError("the batch is too large")
        asyncio.get_running_loop().call_soon(waiting.clear)
        sent.append(cancel)

    cancelling = Cancelling(send, 0.0)
    cancelling.start()
    inbound = read_inbound("chat.completions", {"x-headrace-agent": "a" * 200}, BODY)

    async def leave(_: web.Request) -> web.StreamResponse:
        for number in range(300):
            answer = asyncio.get_running_loop().create_future()
            cancelling.note(inbound, f"chatcmpl-{number:032}", answer).record = "agent.requests.normal:11:123456789"
        raise ConnectionResetError

    request = make_mocked_request("POST", "/v1/chat/completions")
    with pytest.raises(ConnectionResetError):
        await cancelling.middleware()(request, leave)
    await until(lambda: len(sent) == 300)
    await cancelling.stop()
