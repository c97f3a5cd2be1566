"""An explicit cancel of a request, by its id, on any front."""

from __future__ import annotations

from aiohttp import web
from aiokafka.errors import KafkaError

from streams.front.cancelling import cancel_of_id
from streams.front.front import Front
from streams.front.problems import ProblemError, unavailable
from streams.front.routes.replies import json_reply
from streams.front.routes.seeing import seen


class CancelRoutes:
    def __init__(self, front: Front) -> None:
        self._front = front

    def table(self) -> list[web.RouteDef]:
        return [
            web.delete("/v1/requests/{id}", self.cancel),
            web.post("/v1/requests/{id}/cancel", self.cancel),
        ]

    async def cancel(self, request: web.Request) -> web.Response:
        """202 once the broker has the cancel; 200 and how it ended where it had ended before."""
        request_id = request.match_info["id"]
        await seen(self._front, request_id)
        if request_id not in self._front.waiting and (answer := await self._front.find(request_id)) is not None:
            return json_reply({"id": request_id, "object": "request", "state": answer.status})
        await publish_cancel(self._front, request_id)
        return json_reply({"id": request_id, "object": "request", "state": "cancelling"}, 202)


async def publish_cancel(front: Front, request_id: str) -> None:
    """Put a cancel of that id on the log. Raises ProblemError where the broker does not take it."""
    try:
        await front.cancel(cancel_of_id(request_id))
    except (KafkaError, TimeoutError) as error:
        raise ProblemError(unavailable("the broker takes no cancels now", code="not_published")) from error
