"""Limits: what each provider allows the fleet, what of it is used, granted and owed, and what the provider said itself."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Final

from aiohttp import web

from ops.ui.fleet import FleetView
from ops.ui.render import html
from ops.ui.room import ROOM
from streams.limits.amount import Amount

_RESOURCES: Final = ("requests", "tokens", "input", "output")


@dataclass(frozen=True, slots=True)
class LimitLine:
    """One resource of a provider and model, in the window in which the provider counts. `room` negative: owed."""

    provider: str
    model: str
    resource: str
    allowed: float
    committed: float
    """Used in the window, or perhaps used: what is granted and not told of counts too."""
    held: float
    """Granted to workers and not used, as far as the log tells."""
    room: float
    waiting: float
    """What calls that wait need beyond what their workers hold."""

    @property
    def owed(self) -> float:
        return max(0.0, -self.room)

    @property
    def used_share(self) -> float:
        return min(1.0, self.committed / self.allowed) if self.allowed else 1.0


def lines_of(view: FleetView, now: float) -> list[LimitLine]:
    """Every limit that is set, out of the grantor's books. `now` is the broker's time."""
    lines = []
    for route, ledger in view.grantor.ledgers():
        ledger.advance(now)
        held, waiting = Amount(0, 0), Amount(0, 0)
        for account in ledger.accounts.values():
            held += account.held
            waiting += account.wanted
        allowed, committed, room = ledger.limit.at(now), ledger.committed(now), ledger.room(now)
        for resource in _RESOURCES:
            limit = getattr(allowed, resource)
            if limit != inf and (limit or resource in ("requests", "tokens")):
                figures = (getattr(each, resource) for each in (committed, held, room, waiting))
                lines.append(LimitLine(route.provider, route.group, resource, limit, *figures))
    return lines


async def limits(request: web.Request) -> web.Response:
    """GET /limits"""
    room = request.app[ROOM]
    now, view = room.now(), room.fleet
    unlimited = [each.name for each in room.settings.providers if each.rate_limit.unlimited]
    said = [
        (provider, model, demand.provider_view, now - demand.at.timestamp())
        for (provider, model), demand in sorted(view.lease_heard.items())
    ]
    return html(
        request, "limits.html", lines=lines_of(view, now), said=said, unlimited=unlimited,
        grantor=view.grantor.epochs.grantor_id, window_s=room.settings.limits.window, present=view.present(now),
    )  # fmt: skip
