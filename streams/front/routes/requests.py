"""Where a request is, by its id, on any front."""

from __future__ import annotations

from aiohttp import web

from streams.front.follower import Cursor
from streams.front.front import Front
from streams.front.ids import read_id
from streams.front.problems import ProblemError, invalid
from streams.front.routes.replies import failed, json_reply
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
        self._front.cancelling.came_back(request_id)
        if request_id in self._front.waiting:
            return json_reply({"id": request_id, "object": "request", "state": "waiting"})
        if read_id(request_id) is None:
            raise ProblemError(invalid("no front gives such ids", code="request_not_found", status=404))
        answer = await self._front.find(request_id)
        if answer is None:
            return json_reply({"id": request_id, "object": "request", "state": "unknown"}, 404)
        return json_reply(
            {"id": request_id, "object": "request", "state": answer.status, "response": answer.model_dump(mode="json")}
        )

    async def one_stream(self, request: web.Request) -> web.StreamResponse:
        """A chat's stream once more, behind the event that the client had last; of any front's."""
        request_id = request.match_info["id"]
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
