"""An action counted before it is asked for, and asked for: the same for a page, the API and the shell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from ops.admin.actions import ActionError, make_action, waiting_by_class, write
from ops.admin.cancel import NotNamedError, cancel_of, write_cancel
from ops.admin.providers import calls_to
from ops.admin.redrive import count
from schemas.admin import AdminAction, CancelAction, Drain, Pause, Redrive, Resume, Undrain
from schemas.cancel import Cancel
from streams.actions.outcomes import outcome_of
from streams.errors import HeadraceError
from streams.settings import Settings

OF_PAGES: Final = ("pause", "resume", "drain", "undrain", "redrive", "redrive_stop", "redrive_go_on", "cancel")
"""Actions that may be asked for by a form or the API; answers in the cache are cleared from the shell."""


@dataclass(frozen=True, slots=True)
class Touched:
    """How many records an action touches, told before it is asked for; `fields`: what the action carries of it."""

    number: int
    words: str
    fields: dict[str, Any] = field(default_factory=dict)
    more: tuple[str, ...] = ()


async def touched(settings: Settings, action: AdminAction) -> Touched:
    """Count. Raises HeadraceError where the broker cannot be asked or the action names nothing."""
    if isinstance(action, Pause | Resume):
        waiting = await waiting_by_class(settings)
        number = sum(waiting.values()) if action.priority is None else waiting[action.priority]
        return Touched(number, f"{number} requests have no answer yet")
    if isinstance(action, Drain | Undrain):
        calls, asked = await calls_to(settings, action.endpoint)
        return Touched(calls, f"{calls} calls are under way to it, from {asked} workers that could be asked")
    if isinstance(action, Redrive):
        found = await count(settings, action.letters, forced=action.forced)
        more = tuple(
            f"{title} {name}: {number}"
            for title, numbers in (("reason", found.by_reason), ("provider", found.by_provider))
            for name, number in numbers.most_common(8)
        )
        words = (
            f"{found.sent} dead letters will be sent again, in {found.sent / action.rate:.0f} s; of {found.matched} that fit, "
            f"{found.skipped} cannot be, and {found.guarded} were three times already"
        )
        return Touched(found.sent, words, {"until": found.until}, more)
    if isinstance(action, CancelAction):
        _cancel_of(action)
        return Touched(1, "1 request, if it has no answer yet")
    return Touched(1, "1 redrive")


async def carry_out(settings: Settings, action: AdminAction, source: str) -> None:
    """Ask for it on the topic; what no process carries out is done here, and what came of it written. Raises HeadraceError."""
    if not isinstance(action, CancelAction):
        await write(settings, action, source=source)
        return
    cancel = _cancel_of(action)
    await write(settings, action, source=source)
    try:
        await write_cancel(settings, cancel, None)
    except HeadraceError as error:
        await write(settings, outcome_of(action.action_id, "cancel", "failed", str(error)), source=source)
        raise
    await write(settings, outcome_of(action.action_id, "cancel", "done", "written to the workers", 1), source=source)


async def note_done(settings: Settings, action: AdminAction, words: str, number: int) -> str | None:
    """Write an action that is done already, with what came of it; why it could not be written, or None: it is done anyway."""
    try:
        await write(settings, action, outcome_of(action.action_id, action.action, "done", words, number))
    except HeadraceError as error:
        return str(error)
    return None


def of_form(given: dict[str, Any], requested_by: str) -> AdminAction:
    """The action of a form's fields or an API's object. Raises ActionError."""
    fields = {name: value for name, value in given.items() if name not in ("action_id", "requested_by", "requested_at")}
    action = fields.pop("action", None)
    if action not in OF_PAGES:
        raise ActionError(f"action: one of {', '.join(OF_PAGES)}")
    return make_action(str(action), requested_by, **fields)


def _cancel_of(action: CancelAction) -> Cancel:
    try:
        return cancel_of(action.request_id, action.agent_id, action.record, action.reason)
    except NotNamedError as error:
        raise ActionError(str(error)) from error
