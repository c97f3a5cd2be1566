"""One `embeddings` request as several calls, where it brings more inputs than its provider takes, and their answers as one.

OpenAI takes 2,048 inputs a call, Cohere 96, Gemini 100, DashScope 10, Titan on Bedrock one. A caller knows
the model and not which of these serves it, so that a request goes in parts where the provider's number is known, as the SDKs
do that know it (Vercel's `embedMany`, LangChain's `chunk_size`). The request ends once: with all vectors in the order of its
inputs, or with the first part that failed; parts that wait then are not called.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from schemas.request import Request
from schemas.response import Usage
from streams.flow.merge import inputs_of
from streams.money.spent import NOTHING
from streams.pipeline import Outcome, PendingRequest, Responder, error_outcome
from streams.trace.marks import joined


class Over:
    """The source of what was answered and is not called any more: it is dropped where it is met."""

    live = False

    def finish(self, start: int, stop: int | None = None) -> None: ...

    def stuck(self, is_stuck: bool) -> None: ...


@dataclass(slots=True, eq=False)
class _Whole:
    request: PendingRequest
    parts: list[PendingRequest]
    outcomes: dict[PendingRequest, Outcome]


class Parts(Responder):
    """Stands before `responder`: what ends there ends here too, a part with the others of its request."""

    def __init__(self, responder: Responder) -> None:
        self._responder = responder
        self._wholes: dict[PendingRequest, _Whole] = {}

    def cut(self, request: PendingRequest, most: int | None) -> Sequence[PendingRequest]:
        """The request, or parts of at most `most` inputs each, which end in its place."""
        if most is None or inputs_of(request) <= most:
            return (request,)
        payload = request.request.payload
        inputs: list[Any] = payload["input"]
        chunks = [inputs[start : start + most] for start in range(0, len(inputs), most)]
        parts = [
            replace(
                request,
                request=Request.model_construct(**{**dict(request.request), "payload": {**payload, "input": chunk}}),
                estimate=request.estimate.part(len(chunk), len(inputs)),
                size=-(-request.size * len(chunk) // len(inputs)),
                read_key=None,
                store_key=None,
                marks=None if number else request.marks,
            )
            for number, chunk in enumerate(chunks)
        ]
        self._wholes.update(dict.fromkeys(parts, _Whole(request, parts, {})))
        return parts

    def open_of(self, request: PendingRequest) -> Sequence[PendingRequest]:
        """What waits or is under way of a request: its parts that have not ended, or itself."""
        whole = next((each for each in self._wholes.values() if each.request is request), None)
        return (request,) if whole is None else [part for part in whole.parts if part not in whole.outcomes]

    def respond(self, request: PendingRequest, outcome: Outcome) -> None:
        whole = self._wholes.pop(request, None)
        if whole is None:
            if not isinstance(request.source, Over):
                self._responder.respond(request, outcome)
            return
        whole.outcomes[request] = outcome
        if outcome.status == "ok" and len(whole.outcomes) < len(whole.parts):
            return
        self._end(whole)
        whole.request.dispatched_at = min(
            (each.dispatched_at for each in whole.parts if each.dispatched_at is not None), default=None
        )
        joined = _join([whole.outcomes[part] for part in whole.parts]) if outcome.status == "ok" else outcome
        self._responder.respond(whole.request, joined)

    def abandon(self, request: PendingRequest) -> None:
        whole = self._wholes.pop(request, None)
        if whole is not None:
            self._end(whole)
            self._responder.abandon(whole.request)
        elif not isinstance(request.source, Over):
            self._responder.abandon(request)

    def _end(self, whole: _Whole) -> None:
        for part in whole.parts:
            if part not in whole.outcomes:
                self._wholes.pop(part, None)
                part.source = Over()


def _join(outcomes: Sequence[Outcome]) -> Outcome:
    """The answers of all parts, in their order, as one."""
    data: list[dict[str, Any]] = []
    body: dict[str, Any] = {}
    try:
        for outcome in outcomes:
            answer = orjson.loads(outcome.payload or b"")
            body = body or answer
            for entry in sorted(answer["data"], key=lambda entry: entry["index"]):
                data.append({**entry, "index": len(data)})
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return error_outcome("provider_error", "the provider's answers to the parts of the request do not fit together")
    usages = [outcome.usage for outcome in outcomes]
    usage = Usage(
        sum(each.prompt_tokens for each in usages),
        sum(each.completion_tokens for each in usages),
        sum(each.total_tokens for each in usages),
    )
    body = {**body, "data": data}
    if isinstance(body.get("usage"), dict):
        body["usage"] = {**body["usage"], "prompt_tokens": usage.prompt_tokens, "total_tokens": usage.total_tokens}
    return replace(
        outcomes[0],
        payload=orjson.dumps(body),
        usage=usage,
        attempts=sum(outcome.attempts for outcome in outcomes),
        call=joined(*(outcome.call for outcome in outcomes)),
        provider_s=max(outcome.provider_s for outcome in outcomes),
        spent=sum((outcome.spent for outcome in outcomes), NOTHING),
    )
