"""Several `embeddings` requests as one provider call, and its answer as theirs again. Pure.

Requests fit together when they are of one tenant, route and class and their payloads differ in nothing but the input. The format
is OpenAI's: `input` is a text, a list of texts, a list of token numbers, or a list of such lists; the answer's `data` has one
entry an input, each with its index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from schemas.request import Request
from schemas.response import Usage
from streams.limits import Route
from streams.pipeline import Outcome, PendingRequest
from topics.names import Priority

Key = tuple[Priority, Route, bytes]
"""What requests that fit together have in common: class, route, and the payload without its input."""


@dataclass(frozen=True, slots=True)
class Mergeable:
    """A request that may share a call, and how many inputs it brings."""

    key: Key
    inputs: int


def mergeable(request: PendingRequest) -> Mergeable | None:
    """How the request fits with others; None if it is called by itself. Its route is known. 2 us."""
    body = request.request
    if body.operation != "embeddings":
        return None
    inputs = _inputs(body.payload["input"])
    kind = type(inputs[0])
    if any(type(each) is not kind for each in inputs) or kind not in (str, list):
        return None  # the provider says what is wrong with it
    rest = {name: value for name, value in body.payload.items() if name not in ("input", "stream")}
    # No call is shared with another tenant: a refused input of the one would cost the other a call.
    shape = orjson.dumps([kind is str, rest, request.tenant, request.payer], option=orjson.OPT_SORT_KEYS)
    return Mergeable((request.priority, request.route, shape), len(inputs))


def merge(requests: Sequence[PendingRequest]) -> PendingRequest:
    """One request with everybody's inputs, in order. It ends when the first of them has to."""
    first = requests[0]
    inputs = [each for request in requests for each in _inputs(request.request.payload["input"])]
    limits = [request.expires_at for request in requests if request.expires_at is not None]
    return replace(
        first,
        request=Request.model_construct(
            **{**dict(first.request), "payload": {**first.request.payload, "input": inputs}}
        ),
        request_id=f"{first.request_id}+{len(requests) - 1}",
        dispatch_by=min(request.dispatch_by for request in requests),
        expires_at=min(limits, default=None),
        estimate=sum((request.estimate for request in requests[1:]), first.estimate),
        size=sum(request.size for request in requests),
        read_key=None,
        store_key=None,
    )


def split(outcome: Outcome, requests: Sequence[PendingRequest]) -> list[Outcome] | None:
    """Each request's part of the answer to all of them; None if the answer cannot be taken apart.

    Every part has the whole answer's other fields. Tokens are shared by the length of the inputs, in whole numbers that add
    up to what the provider said.
    """
    counts = [len(_inputs(request.request.payload["input"])) for request in requests]
    try:
        answer = orjson.loads(outcome.payload or b"")
        data = sorted(answer["data"], key=lambda entry: entry["index"])
        indices = [entry["index"] for entry in data]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    if indices != list(range(sum(counts))):
        return None
    lengths = [_length(request.request.payload["input"]) for request in requests]
    prompt = _shares(outcome.usage.prompt_tokens, lengths)
    completion = _shares(outcome.usage.completion_tokens, lengths)
    total = _shares(outcome.usage.total_tokens, lengths)
    spent = outcome.spent.shares(lengths)
    parts: list[Outcome] = []
    start = 0
    for number, count in enumerate(counts):
        own = [{**entry, "index": index} for index, entry in enumerate(data[start : start + count])]
        start += count
        body = {**answer, "data": own}
        if isinstance(answer.get("usage"), dict):
            body["usage"] = {**answer["usage"], "prompt_tokens": prompt[number], "total_tokens": total[number]}
        usage = Usage(prompt[number], completion[number], total[number])
        parts.append(replace(outcome, payload=orjson.dumps(body), usage=usage, spent=spent[number]))
    return parts


def inputs_of(request: PendingRequest) -> int:
    """How many inputs an `embeddings` request brings."""
    return len(_inputs(request.request.payload["input"]))


def _inputs(given: Any) -> list[Any]:
    """Always a list of inputs: one text or one list of tokens is one input."""
    return given if type(given) is list and type(given[0]) in (str, list) else [given]


def _length(given: Any) -> int:
    """Characters or tokens of all inputs; at least 1 each."""
    return sum(max(1, len(each)) for each in _inputs(given))


def _shares(total: int, weights: Sequence[int]) -> list[int]:
    """Whole numbers in proportion to the weights that add up to the total (largest remainder)."""
    whole = sum(weights)
    exact = [divmod(total * weight, whole) for weight in weights]
    shares = [share for share, _ in exact]
    by_remainder = sorted(range(len(weights)), key=lambda index: -exact[index][1])
    for index in by_remainder[: total - sum(shares)]:
        shares[index] += 1
    return shares
