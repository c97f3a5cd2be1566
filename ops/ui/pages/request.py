"""One request: its story, what it says and what was answered, and how to ask for the same from a shell."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import orjson
from aiohttp import web

from ops.admin.where import sentence
from ops.ui import workers
from ops.ui.index import codes, queries
from ops.ui.index.row import Row
from ops.ui.payload import shown_headers, shown_value
from ops.ui.render import html
from ops.ui.room import ROOM, Room
from ops.ui.timeline import Step, steps_of, traced
from schemas.message import answer_in, object_in
from streams.redaction import in_force
from topics.headers import TRACEPARENT
from topics.trace_context import read_traceparent

_MOST_COMMAND: Final = 100_000
_GONE: Final = "The record is not retained any more, or the broker did not answer in time."


_NOT_SHOWN: Final = " (show the request to have it in the command)"
_HIDDEN: Final = " (something is taken out of the request: redaction)"


@dataclass(frozen=True, slots=True)
class Shown:
    """A record on the page."""

    name: str
    title: str
    place: str
    headers: list[tuple[str, str]]
    value: str
    missing: str | None = None


async def one_request(request: web.Request) -> web.Response:
    """GET /requests/{class}/{partition}/{offset}"""
    room = request.app[ROOM]
    row = await _row(request, room)
    may_see = room.access.may_see_payloads(request)
    revealed = may_see and request.query.get("reveal") == "1"
    names = room.settings.topics.names
    record_topic = names.requests_of(row.tenant)[row.priority]
    parts = [("request", "Request", record_topic, row.partition, row.offset)]
    if row.answer_next:
        topic = row.answer_topic or names.responses_of(row.tenant)
        parts.append(("answer", "Answer", topic, row.answer_partition, row.answer_next - 1))
    if row.dead_next:
        parts.append(("dead", "Dead letter", names.dead_letters_of(row.tenant), row.dead_partition, row.dead_next - 1))
    found = [await room.finder.find(topic, partition, offset) for _, _, topic, partition, offset in parts]
    record = f"{record_topic}:{row.partition}:{row.offset}"
    told = None
    if row.status == codes.WAITING:
        told = await workers.where(room, row.request_id or record, record)
    shown = [
        _shown(*part, record, may_see=may_see, redacted=not revealed) for part, record in zip(parts, found, strict=True)
    ]
    return html(
        request,
        "request.html",
        row=row,
        record=record,
        now_line=None if told is None else sentence(told),
        here_url=request.path,
        agent_url="/requests?" + urlencode({"agent": row.agent_id}),
        trace_id=_trace_id(found),
        steps=_steps(row, room.now() * 1000),
        error_message=_error_message(found[1]) if row.answer_next and row.status != codes.OK and may_see else None,
        cost=_cost(found[1] if row.answer_next else None),
        shown=shown,
        may_see=may_see,
        revealed=revealed,
        commands=_commands(room, parts, found[0] if revealed else None),
    )


async def _row(request: web.Request, room: Room) -> Row:
    try:
        tenant, _, priority = request.match_info["class"].rpartition(".")
        topic = room.settings.topics.names.requests_of(tenant)[priority]  # type: ignore[index]
        place = room.reader.places.place(topic, int(request.match_info["partition"]), int(request.match_info["offset"]))
    except KeyError:
        raise web.HTTPNotFound(text="there is no such tenant\n") from None
    except ValueError:
        raise web.HTTPNotFound(text="there is no such place\n") from None
    row: Row | None = await room.query(queries.row_at, place)
    if row is None:
        raise web.HTTPNotFound(text="this request is not in the index: it was dropped, or was not read yet\n")
    return row


def _trace_id(found: Sequence[Any]) -> str:
    """The trace of OpenTelemetry that it belongs to: its answer tells it, and its request where its sender began it."""
    for record in reversed(found):
        headers = () if record is None else record.headers
        for name, value in headers:
            if name == TRACEPARENT and (parent := read_traceparent(value)) is not None:
                return parent[3:35].decode()
    return ""


def _steps(row: Row, now_ms: float) -> list[Step]:
    told = traced(row)
    return sorted(steps_of(row, now_ms) + told, key=lambda step: step.at_ms)


def _shown(
    name: str, title: str, topic: str, partition: int, offset: int, record: Any, *, may_see: bool, redacted: bool
) -> Shown:
    place = f"{topic}:{partition}:{offset}"
    if record is None:
        return Shown(name, title, place, [], "", _GONE)
    value = shown_value(record.value, redacted=redacted) if may_see else ""
    return Shown(name, title, place, shown_headers(record.headers, redacted=redacted), value)


def _error_message(record: Any) -> str | None:
    """The answer's own words, which may quote what was asked, by the rules of redaction."""
    error = answer_in(getattr(record, "value", None)).get("error")
    return in_force.rules.text(str(error["message"]))[:1024] if isinstance(error, dict) and "message" in error else None


def _cost(record: Any) -> str:
    """What the answer says that it cost, in full."""
    try:
        cost = answer_in(getattr(record, "value", None))["cost"]
        told = f"{cost['amount']} {cost['currency']}"
        return f"{told}, a part of it estimated" if cost["estimated"] else told
    except (AttributeError, KeyError, TypeError, ValueError):
        return "–"


def _commands(room: Room, parts: list[tuple[str, str, str, int, int]], request: Any) -> list[tuple[str, str]]:
    """`request`: its record, where who asks has asked to see it."""
    servers = room.settings.kafka.bootstrap_servers
    commands = [
        (f"{title}, with kcat", shlex.join(
            ["kcat", "-C", "-b", servers, "-t", topic, "-p", str(partition), "-o", str(offset), "-c", "1", "-J"]
        ))
        for _, title, topic, partition, offset in parts
    ]  # fmt: skip
    body, hidden = _body(request)
    path = "embeddings" if body is not None and "input" in body[1] else "chat/completions"
    said = "@request.json" if body is None else body[0]
    address = f"http://{room.settings.front.listen}/v1/{path}"
    curl = ["curl", address, "-H", "content-type: application/json", "-d", said]
    commands.append(
        (
            "Ask a front the same, with curl" + ("" if body else _HIDDEN if hidden else _NOT_SHOWN),
            shlex.join(curl),
        )
    )
    return commands


def _body(record: Any) -> tuple[tuple[str, dict[str, Any]] | None, bool]:
    """The payload, where all of it may be shown; and whether redaction takes something out of it."""
    try:
        hidden = in_force.rules.value(record.value)[1]
        payload = object_in(record.value)["payload"]
        text = orjson.dumps(payload).decode()
    except (AttributeError, KeyError, TypeError, ValueError):
        return None, False
    fits = isinstance(payload, dict) and len(text) <= _MOST_COMMAND
    return (text, payload) if fits and not hidden else None, hidden
