"""When the time of a request is over whatever becomes of it, so that its front can say so where no worker does. Pure.

A worker answers what has run out of time; a request that lies unread, because no worker lives, would be waited for until
`front.wait`. The contract bounds both: a request's own limit is total, and one without waits for its class's time and then has
its provider's `retry.max_time`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from schemas.response import WireError, encode_response
from streams.front.inbound import Inbound
from streams.settings import Settings

GRACE_S: Final = 0.5
"""After its time a request is its worker's to answer for so long: that one knows what it waited for."""
LOOK_EVERY_S: Final = 5.0
"""How often it is looked whether workers live, for requests that may be under way."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """Seconds from the moment at which the broker had the request."""

    unread_s: float
    """Whoever has not begun with it by then does not begin."""
    over_s: float
    """Nobody answers later."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """`waits_s`: by class, until dispatch. `calls_s`: the longest that the calls of a request go on. `most_s`: the longest limit
    that a request may ask for.
    """

    waits_s: Mapping[str, float]
    calls_s: float
    most_s: float

    @classmethod
    def from_settings(cls, settings: Settings) -> Deadlines:
        waits = settings.queueing.timeout
        return cls(
            {"high": waits.high, "normal": waits.normal, "low": waits.low},
            max((each.retry.max_time for each in settings.providers), default=settings.requests.max_timeout),
            settings.requests.max_timeout,
        )

    def own_of(self, inbound: Inbound) -> float | None:
        """Seconds of the request's own limit; None where it has none."""
        own_s = inbound.fields.get("timeout_s")
        return None if own_s is None else min(own_s, self.most_s)

    def of(self, inbound: Inbound) -> Deadline:
        own_s = self.own_of(inbound)
        if own_s is not None:
            return Deadline(own_s + GRACE_S, own_s + GRACE_S)
        unread_s = self.waits_s[inbound.priority] + GRACE_S
        return Deadline(unread_s, unread_s + self.calls_s)


def over(request_id: str, agent_id: str, waited_s: float, now: datetime) -> bytes:
    """The value of the response that a front gives itself: as a worker's `expired`."""
    message = f"the time limit passed after {waited_s:.1f} s, and no worker has answered"
    return encode_response(
        request_id=request_id,
        agent_id=agent_id,
        status="expired",
        error=WireError("deadline", message, retryable=True),
        queue_ms=waited_s * 1000,
        provider_ms=0.0,
        total_ms=waited_s * 1000,
        completed_at=now,
    )
