"""All that is known of one request: its answer or dead letter on the log, and else what the worker says that has it."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import asdict
from typing import Any, Final

from ops.admin.trace import find_end
from ops.admin.trace import lines as lines_of_end
from ops.admin.where import sentence, where_is
from ops.admin.whole_fleet import FleetUnseenError, see_fleet
from ops.ui.records import RecordFinder
from schemas.message import object_in
from streams.settings import Settings
from streams.waits import Told

_PLACE: Final = re.compile(r"([0-9]{1,5}):([0-9]{1,15})", re.ASCII).fullmatch
_FIELDS: Final = (
    "request_id", "state", "status", "record", "agent_id", "priority", "stage", "reason", "why", "position",
    "predicted_s", "waited_s", "provider", "model", "endpoint", "attempts", "cost", "usage", "cache", "timing", "error",
    "found_at", "trace", "traceparent", "steps",
)  # fmt: skip


async def find_request(settings: Settings, request_id: str, since_s: float) -> dict[str, Any] | None:
    """Everything of it, by the names of `_FIELDS`; None where it is neither under way nor ended in the last `since_s` seconds.

    Raises ProvisionError; FleetUnseenError where nothing says that it has ended, and nobody can say whether it is under way.
    """
    end, told = await asyncio.gather(find_end(settings, request_id, since_s), _live(settings, request_id))
    if end is not None:
        return {name: end.get(name) for name in _FIELDS} | {"state": "dead" if end["status"] == "dead" else "answered"}
    if isinstance(told, FleetUnseenError):
        raise told
    return None if told is None else of_live(told)


async def _live(settings: Settings, request_id: str) -> Told | FleetUnseenError | None:
    record = None
    topic, _, place = request_id.partition(":")
    if topic in settings.topics.names.requests and (found := _PLACE(place)) is not None:
        # A worker knows a request by its own id, which its record says.
        record, request_id = request_id, await _id_of(settings, topic, int(found[1]), int(found[2])) or request_id
    try:
        view = await see_fleet(settings)
    except FleetUnseenError as error:
        return error
    now = time.time()
    return await where_is([each.sample for each in view.workers(now)], request_id, record, now)


async def _id_of(settings: Settings, topic: str, partition: int, offset: int) -> str | None:
    finder = RecordFinder(settings.kafka.client_options())
    try:
        record = await finder.find(topic, partition, offset)
    finally:
        await finder.stop()
    found = None if record is None else object_in(record.value).get("request_id")
    return found if isinstance(found, str) else None


def of_live(told: Told) -> dict[str, Any]:
    """The same of one that is under way. `state`: `waiting`, `called`, or `ending`."""
    state = {"call": "called", "delivering": "ending", "finished": "ending"}.get(told.stage, "waiting")
    known = asdict(told) | {"state": state, "why": told.words or None, "steps": []}
    return {name: known.get(name) for name in _FIELDS}


def lines(found: dict[str, Any]) -> list[str]:
    """For people."""
    if found["state"] in ("answered", "dead"):
        shown = lines_of_end(found)
        called = [str(each) for each in (found["provider"], found["model"]) if each]
        if called:
            shown.append(f"called: {' '.join(called)}, {found['attempts']} attempts")
        return shown + ([f"cost: {found['cost']}"] if found["cost"] else [])
    told = Told(**{name: found[name] for name in _TOLD_FIELDS}, words=found["why"] or "")
    shown = [f"{found['request_id']}  {found['state']}  {found['record'] or ''}".rstrip(), sentence(told)]
    if found["waited_s"] is not None:
        shown.append(f"{found['waited_s']:.1f} s since its record was written")
    who = [f"{name} {found[key]}" for name, key in _NAMED if found[key]]
    return [*shown, *([", ".join(who)] if who else [])]


_TOLD_FIELDS: Final = ("request_id", "stage", "reason", "position", "predicted_s", "endpoint", "attempts")
_NAMED: Final = (("agent", "agent_id"), ("class", "priority"), ("provider", "provider"), ("model", "model"))
