"""OpenAI's Responses API: create, at once or in the background, as a whole or as a stream, and get by id on any front."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import orjson
from aiohttp import web
from aiokafka.errors import KafkaError

from streams.front.front import Front
from streams.front.ids import Where, read_id
from streams.front.inbound import Inbound, Preference, json_object, read_inbound
from streams.front.problems import ProblemError, invalid, problem_of, unavailable
from streams.front.responses.answer import failed_response, open_response, response_of
from streams.front.responses.request import chat_payload
from streams.front.responses.stream import ResponseStream
from streams.front.routes.asking import Accepted, Asking
from streams.front.routes.cancels import publish_cancel
from streams.front.routes.replies import HEADRACE_ID, failed, json_reply, lower_headers, told
from streams.front.routes.seeing import seen
from streams.front.stream import write_events
from streams.metrics import definitions as metrics

_PREFIX: Final = "resp_"
_NOT_FOUND: Final = "response_not_found"
_STILL_COMES_S: Final = 3600.0
"""For so long a request whose answer is not on the log is told as one that waits: no request may take longer."""


class ResponsesRoutes:
    def __init__(self, front: Front, asking: Asking) -> None:
        self._front = front
        self._asking = asking

    def table(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/responses", self.create),
            web.get("/v1/responses/{id}", self.one_response),
            web.delete("/v1/responses/{id}", self.delete),
            web.post("/v1/responses/{id}/cancel", self.cancel),
        ]

    async def create(self, request: web.Request) -> web.StreamResponse:
        asked = json_object(await request.read())
        payload = chat_payload(asked)
        inbound = read_inbound("chat.completions", lower_headers(request), orjson.dumps(payload), id_prefix=_PREFIX)
        background = asked.get("background") is True
        if background:  # goes on without its client, also where that reads its stream
            inbound = replace(inbound, preference=Preference(respond_async=True))
        if inbound.streams and (background or not inbound.preference.respond_async):
            return await self._stream(request, inbound, asked)
        answer = await self._asking.ask(inbound)
        opened = open_response(answer.request_id, _created_at(answer.request_id), "queued", asked)
        if isinstance(answer, Accepted):
            # 200, not 202: it is a response of the API, and its status says that it waits
            return json_reply(opened, headers={HEADRACE_ID: answer.request_id})
        return json_reply(response_of(answer.payload, opened), headers=answer.headers)

    async def _stream(self, request: web.Request, inbound: Inbound, asked: Mapping[str, Any]) -> web.StreamResponse:
        async with await self._asking.exchange(inbound) as exchange:
            request_id = exchange.request_id
            stream, ended = await write_events(
                request,
                exchange,
                ResponseStream(open_response(request_id, _created_at(request_id), "in_progress", asked)),
                {HEADRACE_ID: request_id, "x-headrace-class": inbound.priority},
                on_failure=lambda response: failed(request, response, told(request_id, inbound, response)),
            )
        metrics.FRONT_REQUESTS.labels(inbound.operation, ended).inc()
        return stream

    async def one_response(self, request: web.Request) -> web.StreamResponse:
        """A response from the log; `queued` while its answer may still come. What it says of its request are defaults.

        With `stream=true`, its events behind the one that `starting_after` names, and on as they come.
        """
        response_id = request.match_info["id"]
        where = await seen(self._front, response_id, code=_NOT_FOUND)
        headers = {HEADRACE_ID: response_id}
        opened = open_response(response_id, where.since_ms // 1000, "queued", {"background": True})
        if request.query.get("stream") == "true":
            after = _starting_after(request.query)
            async with self._front.replay(response_id, None) as events:
                stream, _ = await write_events(
                    request,
                    events,
                    ResponseStream(opened, after),
                    headers,
                    on_failure=lambda response: failed(request, response, headers),
                )
                return stream
        answer = await self._front.find(response_id)
        if answer is None:
            if time.time() - where.since_ms / 1000 > _STILL_COMES_S:
                raise ProblemError(invalid("no such response is kept", code="response_not_found", status=404))
            return json_reply(opened, headers=headers)
        opened["model"] = answer.model
        if answer.error is not None and answer.error.type == "cancelled":
            return json_reply({**opened, "status": "cancelled"}, headers=headers)
        if answer.error is not None or answer.payload is None:
            return json_reply(failed_response(problem_of(answer), opened), headers=headers)
        return json_reply(response_of(answer.payload, opened), headers=headers)

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        """The response as it is: `cancelled`, or how it had ended before."""
        response_id = request.match_info["id"]
        where = await seen(self._front, response_id, code=_NOT_FOUND)
        if response_id not in self._front.waiting and await self._front.find(response_id) is not None:
            return await self.one_response(request)
        await publish_cancel(self._front, response_id)
        cancelled = open_response(response_id, where.since_ms // 1000, "cancelled", {"background": True})
        return json_reply(cancelled, headers={HEADRACE_ID: response_id})

    async def delete(self, request: web.Request) -> web.Response:
        """From now on no front gives it, nor tells its stream; one without an answer is cancelled. The records themselves stay on
        the log for its retention.
        """
        response_id = request.match_info["id"]
        where = await seen(self._front, response_id, code=_NOT_FOUND)
        waits = response_id in self._front.waiting or await self._front.find(response_id) is None
        if waits and time.time() - where.since_ms / 1000 > _STILL_COMES_S:
            raise ProblemError(invalid("no such response is kept", code=_NOT_FOUND, status=404))
        if waits:
            await publish_cancel(self._front, response_id)
        try:
            await self._front.delete(response_id)
        except (KafkaError, TimeoutError) as error:
            raise ProblemError(unavailable("the broker takes no deletions now", code="not_published")) from error
        return json_reply(
            {"id": response_id, "object": "response", "deleted": True}, headers={HEADRACE_ID: response_id}
        )


def _where(response_id: str) -> Where:
    where = read_id(response_id)
    if where is None:
        raise ProblemError(invalid("no front gives such ids", code="response_not_found", status=404))
    return where


def _created_at(response_id: str) -> int:
    return _where(response_id).since_ms // 1000


def _starting_after(query: Mapping[str, str]) -> int:
    text = query.get("starting_after")
    if text is None:
        return -1
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise ProblemError(invalid("starting_after: the number of an event", param="starting_after"))
    return int(text)
