"""Actions by form and by API, for operators: first what would be touched, then a confirmation, then the record on the topic.

A form is posted by a person who has seen the count; its token is that of a cookie beside it. JSON is posted by a program:
browsers ask before they send it from another site, and are refused (ops/ui/access.py).
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
from aiohttp import web

from ops.admin.acting import carry_out, of_form, touched
from ops.ui.access import FORM_COOKIE, role_of, user_of
from ops.ui.render import html
from ops.ui.room import ROOM
from schemas.admin import AdminAction
from streams.actions.audit import AuditEntry
from streams.errors import HeadraceError
from streams.settings.units import parse_duration

_SOURCE: Final = "/headrace/ui"
_COUNT_S: Final = 60.0
_MOST_FORM: Final = 60_000
_LETTERS: Final = ("tenant", "reason", "error_type", "provider", "priority", "model", "agent")
_PLAIN: Final = ("priority", "endpoint", "redrive_id", "request_id", "agent_id", "record")


async def confirm(request: web.Request) -> web.Response:
    """GET /act: says how much an action touches, and asks whether to do it. It changes nothing."""
    _insist(request)
    room = request.app[ROOM]
    try:
        action = of_form(_fields(request), _who(request))
        async with asyncio.timeout(_COUNT_S):
            found = await touched(room.settings, action)
    except TimeoutError:
        raise web.HTTPServiceUnavailable(text="counting took longer than a minute: use the command\n") from None
    except (HeadraceError, ValueError) as error:
        return html(request, "message.html", status=400, title="This cannot be done", message=str(error))
    asked = action.model_dump(mode="json", exclude_none=True, exclude={"action_id", "requested_by", "requested_at"})
    asked |= {"touches": found.number, **found.fields}
    token = room.access.sessions.form_token(room.access.now())
    response = html(
        request, "act.html", action=action, about=AuditEntry(action, 0.0).about, found=found, form_token=token,
        asked=orjson.dumps(asked).decode(), back=_back(request),
    )  # fmt: skip
    response.set_cookie(FORM_COOKIE, token, max_age=3600, httponly=True, samesite="Strict")
    return response


async def act(request: web.Request) -> web.Response:
    """POST /act: `asked`, the action as it was confirmed, and the form's token."""
    _insist(request)
    room = request.app[ROOM]
    given = await request.post()
    token = str(given.get("form", ""))[:200]
    if not room.access.sessions.is_form_token(token, request.cookies.get(FORM_COOKIE, ""), room.access.now()):
        raise web.HTTPForbidden(text="this form is old: go back and confirm it again\n")
    reason = str(given.get("reason", "")).strip()
    try:
        fields = _object(str(given.get("asked", ""))[:_MOST_FORM].encode())
        action = of_form({**fields, **({"reason": reason} if reason else {})}, _who(request))
        await carry_out(room.settings, action, _SOURCE)
    except (HeadraceError, ValueError) as error:
        return html(request, "message.html", status=400, title="It was not done", message=str(error))
    response = web.Response(status=303, headers={"Location": f"/audit?id={action.action_id}"})
    response.del_cookie(FORM_COOKIE)
    return response


async def act_json(request: web.Request) -> web.Response:
    """POST /api/actions: an action as JSON; with `?dry_run=1` only what it would touch."""
    _insist(request)
    room = request.app[ROOM]
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="JSON alone\n")
    try:
        action: AdminAction = of_form(_object(await request.read()), _who(request))
        found = None
        if request.query.get("dry_run") == "1":
            found = await touched(room.settings, action)
        else:
            await carry_out(room.settings, action, _SOURCE)
    except (HeadraceError, ValueError) as error:
        return _json({"error": str(error)}, 400)
    if found is not None:
        return _json({"dry_run": True, "touches": found.number, "words": found.words})
    return _json({"action_id": action.action_id}, 202)


def _insist(request: web.Request) -> None:
    if role_of(request) != "operator":
        raise web.HTTPForbidden(text="this takes an operator; on this machine, start it with --allow-actions\n")


def _who(request: web.Request) -> str:
    return (user_of(request) or f"operator at {request.remote}")[:256]


def _fields(request: web.Request) -> dict[str, Any]:
    """The action that a link or a form of a page asks for. Raises ValueError."""
    query = request.query
    fields: dict[str, Any] = {name: query[name] for name in _PLAIN if query.get(name)}
    fields["action"] = query.get("action")
    if fields["action"] == "redrive":
        letters: dict[str, Any] = {name: query[name] for name in _LETTERS if query.get(name)}
        fields.pop("priority", None)
        for name in ("since", "before"):
            if query.get(name):
                letters[name] = datetime.now(UTC) - timedelta(seconds=parse_duration(query[name]))
        if query.getall("at", []):
            letters = {
                "positions": query.getall("at")[:1000],
                **({"tenant": query["tenant"]} if query.get("tenant") else {}),
            }
        fields |= {"letters": letters, "forced": query.get("forced") == "1"}
        if query.get("rate"):
            fields["rate"] = int(query["rate"])
    return fields


def _object(text: bytes) -> dict[str, Any]:
    found = orjson.loads(text)
    if not isinstance(found, dict):
        raise ValueError("an action is an object")
    return found


def _back(request: web.Request) -> str:
    """Where the pages of this kind of action are."""
    action = request.query.get("action", "")
    of = {
        "drain": "/providers",
        "undrain": "/providers",
        "pause": "/queues",
        "resume": "/queues",
        "cancel": "/requests",
    }
    return of.get(action, "/dead-letters")


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")
