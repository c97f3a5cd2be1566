"""A request is published and its whole answer waited for, whatever the API that it came by."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from pydantic import ValidationError

from schemas.response import Response
from streams.front.exchange import Exchange, Whole
from streams.front.front import Front
from streams.front.idempotency.keyed import Earlier, Mine, ToldAgain, UnderWay, resolve
from streams.front.inbound import Inbound
from streams.front.problems import Problem, ProblemError, problem_of
from streams.front.routes.replies import told
from streams.metrics import definitions as metrics


@dataclass(frozen=True, slots=True)
class Answered:
    """A request with its good answer."""

    request_id: str
    payload: dict[str, object]
    """In the OpenAI format, whatever the API."""
    response: Response
    headers: dict[str, str]
    """What became of the request: `x-headrace-*`."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A request whose client does not wait (any longer): its id."""

    request_id: str


class Asking:
    """A client waits for at most `most_wait_s`."""

    def __init__(self, front: Front, most_wait_s: float) -> None:
        self._front = front
        self._most_wait_s = most_wait_s

    async def exchange(self, inbound: Inbound) -> Exchange | ToldAgain:
        """Publish a request whose answer is told as it comes, or find the one that its key stands for. Raises ProblemError."""
        if inbound.idempotency is None:
            return await self._front.exchange(inbound)
        known = await resolve(self._front, inbound)
        if isinstance(known, Mine):
            with self._publishing(known):
                return await self._front.exchange(inbound, known.request_id)
        return ToldAgain(self._front, known, inbound)

    async def ask(self, inbound: Inbound) -> Answered | Accepted:
        """Raises ProblemError where there is no good answer, with the headers that tell of the request."""
        known = None if inbound.idempotency is None else await resolve(self._front, inbound)
        if isinstance(known, Earlier):
            answered = _answered(known.request_id, inbound, known.response)
            return replace(answered, headers={**answered.headers, "idempotent-replayed": "true"})
        if isinstance(known, UnderWay):
            return await self._follow(known, inbound)
        with self._publishing(known):
            request_id, answer = await self._front.publish(inbound, None, known.request_id if known else None)
        try:
            if inbound.preference.respond_async:
                return Accepted(request_id)
            wait_s = self._most_wait_s
            if inbound.preference.wait_s is not None:
                wait_s = min(wait_s, inbound.preference.wait_s)
            try:
                value = await asyncio.wait_for(answer, wait_s)
            except TimeoutError:
                if inbound.preference.wait_s is not None:
                    return Accepted(request_id)
                raise ProblemError(_still_waits(request_id, wait_s), {"x-headrace-id": request_id}) from None
        finally:
            self._front.forget(request_id)
        try:
            response = Response.model_validate_json(value)
        except ValidationError as error:
            raise ProblemError(Problem(502, "server_error", "internal", "the fleet's answer cannot be read")) from error
        return _answered(request_id, inbound, response)

    @contextmanager
    def _publishing(self, claimed: Mine | None) -> Iterator[None]:
        """What was claimed and could not be published may be published by the next one that asks."""
        if claimed is None:
            yield
            return
        self._front.claims.note_unpublished(claimed.request_id)
        yield
        self._front.claims.note_published(claimed.request_id)

    async def _follow(self, known: UnderWay, inbound: Inbound) -> Answered | Accepted:
        """Wait for the answer that another client of this front waits for."""
        preference = inbound.preference
        if preference.respond_async:
            return Accepted(known.request_id)
        wait_s = self._most_wait_s if preference.wait_s is None else min(self._most_wait_s, preference.wait_s)
        try:
            async with asyncio.timeout(wait_s), ToldAgain(self._front, known, inbound) as told_again:
                async for event in told_again:
                    if isinstance(event, Whole):
                        return _answered(known.request_id, inbound, event.response)
        except TimeoutError:
            pass
        if preference.wait_s is not None:
            return Accepted(known.request_id)
        raise ProblemError(_still_waits(known.request_id, wait_s), {"x-headrace-id": known.request_id})


def _answered(request_id: str, inbound: Inbound, response: Response) -> Answered:
    metrics.FRONT_REQUESTS.labels(inbound.operation, response.status).inc()
    headers = told(request_id, inbound, response)
    if response.error is not None or response.payload is None:
        raise ProblemError(problem_of(response), headers)
    return Answered(request_id, response.payload, response, headers)


def _still_waits(request_id: str, wait_s: float) -> Problem:
    """The client has waited enough: it gets the id, and its request goes on."""
    message = f"no answer in {wait_s:.0f} s; the request goes on: GET /v1/requests/{request_id} has its answer when it is there"
    return Problem(504, "server_error", "still_waiting", message)
