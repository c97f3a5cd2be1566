"""Where a request is, by its id, on any front."""

from __future__ import annotations

from aiohttp import web

from streams.front.follower import Cursor
from streams.front.front import Front
from streams.front.problems import ProblemError, invalid
from streams.front.routes.replies import failed, json_reply
from streams.front.routes.seeing import seen
from streams.front.stream import write_stream


class RequestRoutes:
    def __init__(self, front: Front) -> None:
        self._front = front

    def table(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/requests/{id}", self.one_request),
            web.get("/v1/requests/{id}/stream", self.one_stream),
        ]

    async def one_request(self, request: web.Request) -> web.Response:
        """Where a request is: `waiting`, as far as this front knows it, or how it ended, from the log."""
        request_id = request.match_info["id"]
        await seen(self._front, request_id)
        self._front.cancelling.came_back(request_id)
        if request_id in self._front.waiting:
            return await self._waiting(request_id)
        answer = await self._front.find(request_id)
        if answer is None:
            return await self._waiting(request_id)
        return json_reply(
            {"id": request_id, "object": "request", "state": answer.status, "response": answer.model_dump(mode="json")}
        )

    async def _waiting(self, request_id: str) -> web.Response:
        """A request without an answer: what the worker says that has it."""
        told = {"id": request_id, "object": "request", "state": "waiting"}
        where = await self._front.where(request_id)
        if where is not None:
            return json_reply({**told, **where.public()})
        if request_id in self._front.waiting:
            return json_reply(told)
        return json_reply({**told, "state": "unknown"}, 404)

    async def one_stream(self, request: web.Request) -> web.StreamResponse:
        """A chat's stream once more, behind the event that the client had last; of any front's."""
        request_id = request.match_info["id"]
        await seen(self._front, request_id)
        self._front.cancelling.came_back(request_id)
        given = request.query.get("starting_after") or request.headers.get("last-event-id") or ""
        after = Cursor.read(given)
        if given and after is None:
            raise ProblemError(invalid("no event of a stream has such an id", param="starting_after"))
        async with self._front.replay(request_id, after) as events:
            stream, _ = await write_stream(
                request,
                events,
                request_id,
                {"x-headrace-id": request_id},
                tells_usage=request.query.get("include_usage") == "true",
                on_failure=lambda response: failed(request, response, {"x-headrace-id": request_id}),
            )
        return stream
