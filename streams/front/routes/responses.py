"""OpenAI's Responses API: create, at once or in the background, as a whole or as a stream, and get by id on any front."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import orjson
from aiohttp import web

from schemas.response import Response
from streams.front.anthropic.events import event_bytes
from streams.front.front import Front
from streams.front.ids import Where, read_id
from streams.front.inbound import Preference, json_object, read_inbound
from streams.front.problems import Problem, ProblemError, invalid, of_answer, unavailable
from streams.front.responses.answer import events_of, failed_response, open_response, response_of
from streams.front.responses.events import ResponseEvents
from streams.front.responses.request import chat_payload
from streams.front.routes.asking import Accepted, Asking
from streams.front.routes.replies import HEADRACE_ID, STREAM_HEADERS, json_reply, lower_headers

_PREFIX: Final = "resp_"
_STILL_COMES_S: Final = 3600.0
"""For so long a request whose answer is not on the log is told as one that waits: no request may take longer."""
_LOOK_AGAIN_S: Final = (0.2, 2.0)
"""Between look-ups of an answer that a stream waits for: the first wait, and the longest."""


class ResponsesRoutes:
    """A client waits for at most `most_wait_s`."""

    def __init__(self, front: Front, asking: Asking, most_wait_s: float) -> None:
        self._front = front
        self._asking = asking
        self._most_wait_s = most_wait_s

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
        if asked.get("background") is True and not inbound.streams:
            inbound = replace(inbound, preference=Preference(respond_async=True))
        answer = await self._asking.ask(inbound)
        opened = open_response(answer.request_id, _created_at(answer.request_id), "queued", asked)
        if isinstance(answer, Accepted):
            # 200, not 202: it is a response of the API, and its status says that it waits
            return json_reply(opened, headers={HEADRACE_ID: answer.request_id})
        if not inbound.streams:
            return json_reply(response_of(answer.payload, opened), headers=answer.headers)
        return await _stream(request, events_of(answer.payload, opened), answer.headers)

    async def one_response(self, request: web.Request) -> web.StreamResponse:
        """A response from the log; `queued` while its answer may still come. What it says of its request are defaults.

        With `stream=true`, its events after the one that `starting_after` names, once it is there.
        """
        response_id = request.match_info["id"]
        where = _where(response_id)
        streams = request.query.get("stream") == "true"
        after = _starting_after(request.query)
        headers = {HEADRACE_ID: response_id}
        answer = await (self._come(response_id, where) if streams else self._front.find(response_id))
        opened = open_response(response_id, where.since_ms // 1000, "queued", {"background": True})
        if answer is None:
            if not _may_come(where):
                raise ProblemError(invalid("no such response is kept", code="response_not_found", status=404))
            if streams:
                raise ProblemError(Problem(504, "server_error", "still_waiting", "no answer yet"), headers)
            return json_reply(opened, headers=headers)
        opened["model"] = answer.model
        if answer.error is not None or answer.payload is None:
            problem = of_answer(answer.error) if answer.error else unavailable("no answer", code="internal")
            if not streams:
                return json_reply(failed_response(problem, opened), headers=headers)
            failing = ResponseEvents(opened)
            return await _stream(request, [*failing.begin(), *failing.fail(problem)][after:], headers)
        if not streams:
            return json_reply(response_of(answer.payload, opened), headers=headers)
        return await _stream(request, events_of(answer.payload, opened)[after:], headers)

    async def cancel(self, request: web.Request) -> web.Response:
        _where(request.match_info["id"])
        raise ProblemError(_not_served("requests cannot be cancelled here: this one goes on"))

    async def delete(self, request: web.Request) -> web.Response:
        _where(request.match_info["id"])
        raise ProblemError(_not_served("answers cannot be deleted one by one: the log keeps them for its retention"))

    async def _come(self, response_id: str, where: Where) -> Response | None:
        """The answer, waited for as long as it may come."""
        wait_s, longest_s = _LOOK_AGAIN_S
        until = time.monotonic() + self._most_wait_s
        while (answer := await self._front.find(response_id)) is None:
            if time.monotonic() + wait_s > until or not _may_come(where):
                return None
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, longest_s)
        return answer


def _not_served(message: str) -> Problem:
    return Problem(501, "invalid_request_error", "not_supported", message)


def _where(response_id: str) -> Where:
    where = read_id(response_id)
    if where is None:
        raise ProblemError(invalid("no front gives such ids", code="response_not_found", status=404))
    return where


def _created_at(response_id: str) -> int:
    return _where(response_id).since_ms // 1000


def _may_come(where: Where) -> bool:
    return time.time() - where.since_ms / 1000 < _STILL_COMES_S


def _starting_after(query: Mapping[str, str]) -> int:
    """The number of events that the client has: it names the last one, and the first is 0."""
    text = query.get("starting_after")
    if text is None:
        return 0
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise ProblemError(invalid("starting_after: the number of an event", param="starting_after"))
    return int(text) + 1


async def _stream(request: web.Request, events: list[dict[str, Any]], headers: Mapping[str, str]) -> web.StreamResponse:
    stream = web.StreamResponse(headers={**STREAM_HEADERS, **headers})
    await stream.prepare(request)
    for event in events:
        await stream.write(event_bytes(event))
    await stream.write_eof()
    return stream
