"""What a page of requests asks for: typed filters, as a URL says them, and whether a request fits. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Final

from ops.ui.index import codes
from ops.ui.index.keys import AGENT, CLASS, ERROR, MODEL, MOST_TIME_MS, REASON, STATUS, TENANT, hashed, status_value
from ops.ui.index.row import Row
from streams.settings.units import DURATION, parse_duration
from topics.names import PRIORITIES

MOST_CHARS: Final = 256
_NUMBER: Final = re.compile(r"[0-9]{1,12}", re.ASCII).fullmatch


class FilterError(ValueError):
    """A filter that says nothing that can be looked for; the message names it and what may stand there."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Every one narrows; an empty one is not there. Words are those of `codes`."""

    status: tuple[str, ...] = ()
    priority: tuple[str, ...] = ()
    tenant: str = ""
    agent: str = ""
    model: str = ""
    provider: str = ""
    error: str = ""
    reason: str = ""
    cache: str = ""
    slower_ms: int | None = None
    """Answered in more than so many milliseconds."""
    from_ms: int | None = None
    """Times of requests, the first that counts and the first that does not."""
    to_ms: int | None = None
    since: str = ""
    """As `from_ms`, told as a duration before now: "15m"."""

    def at(self, now_ms: int) -> Filters:
        """The same with `since` as a moment."""
        if not self.since:
            return self
        begin_ms = max(0, now_ms - round(parse_duration(self.since) * 1000))
        return replace(self, since="", from_ms=max(begin_ms, self.from_ms or 0))

    def fits(self, row: Row) -> bool:
        """Whether a request fits. `since` is not looked at: see `at`."""
        return (
            (self.from_ms is None or row.time_ms >= self.from_ms)
            and (self.to_ms is None or row.time_ms < self.to_ms)
            and (not self.status or codes.word_of(codes.STATUSES, row.status) in self.status)
            and (not self.priority or row.priority in self.priority)
            and (not self.tenant or row.tenant == self.tenant)
            and (not self.agent or row.agent_id == self.agent)
            and (not self.model or row.model == self.model)
            and (not self.provider or row.provider == self.provider)
            and (not self.error or codes.word_of(codes.ERRORS, row.error) == self.error)
            and (not self.reason or codes.word_of(codes.REASONS, row.reason) == self.reason)
            and (not self.cache or codes.word_of(codes.CACHES, row.cache) == self.cache)
            and (self.slower_ms is None or row.total_100us > self.slower_ms * 10)
        )

    def query(self) -> list[tuple[str, str]]:
        """As a URL says them, in one order, so that one view has one address."""
        found: list[tuple[str, str]] = []
        for name, parameter in _PARAMETERS.items():
            value = getattr(self, name)
            if isinstance(value, tuple):
                found += [(parameter, each) for each in value]
            elif value not in ("", None):
                found.append((parameter, _written(name, value)))
        return found

    def only_time_and_status(self) -> bool:
        """Whether counts by minute and status say all of it."""
        return replace(self, status=(), from_ms=None, to_ms=None, since="") == Filters()


@dataclass(frozen=True, slots=True)
class Driver:
    """The keys to go through: the most selective ones. `tells_status`: what stands under each is its request's status, and
    nothing else but that and the time is asked for.
    """

    tag: bytes
    values: tuple[bytes, ...]
    tells_status: bool = False


def driver_of(filters: Filters) -> Driver:
    """Which keys find what is asked for with the fewest looks."""
    rest = replace(filters, status=(), from_ms=None, to_ms=None, since="")
    if filters.reason:
        number = codes.number_of(codes.REASONS, filters.reason)
        return Driver(REASON, (bytes((number,)),))
    if filters.error:
        return Driver(ERROR, (bytes((codes.number_of(codes.ERRORS, filters.error),)),))
    if filters.agent:
        return Driver(AGENT, (hashed(filters.agent),), replace(rest, agent="") == Filters())
    if filters.status and "ok" not in filters.status:
        return Driver(STATUS, _statuses(filters))
    if filters.tenant:
        return Driver(TENANT, (hashed(filters.tenant),), replace(rest, tenant="") == Filters())
    if filters.model:
        return Driver(MODEL, (hashed(filters.model),))
    wanted = filters.priority or PRIORITIES
    return Driver(CLASS, tuple(bytes((PRIORITIES.index(word),)) for word in wanted if word in PRIORITIES))


def _statuses(filters: Filters) -> tuple[bytes, ...]:
    classes = [PRIORITIES.index(word) for word in filters.priority or PRIORITIES if word in PRIORITIES]
    numbers = [codes.number_of(codes.STATUSES, word) for word in filters.status]
    return tuple(status_value(number, one) for number in numbers for one in classes)


def read_filters(query: Mapping[str, Sequence[str]]) -> Filters:
    """The filters of a URL; empty ones are none, unknown parameters are others'. Raises FilterError."""
    values: dict[str, object] = {}
    for name, parameter in _PARAMETERS.items():
        given = [text.strip() for text in query.get(parameter, ()) if text.strip()]
        if not given:
            continue
        if any(len(text) > MOST_CHARS for text in given):
            raise FilterError(f"{parameter}: at most {MOST_CHARS} characters")
        if name in _WORDS:
            unknown = [text for text in given if text not in _WORDS[name]]
            if unknown:
                raise FilterError(f"{parameter}: {', '.join(_WORDS[name])}")
        values[name] = (
            tuple(dict.fromkeys(given)) if name in ("status", "priority") else _read(name, parameter, given[-1])
        )
    found = Filters(**values)  # type: ignore[arg-type]
    if found.from_ms is not None and found.to_ms is not None and found.from_ms >= found.to_ms:
        raise FilterError("from has to be before to")
    return found


def _read(name: str, parameter: str, text: str) -> object:
    if name in ("from_ms", "to_ms"):
        return _moment_ms(parameter, text)
    if name == "slower_ms":
        if _NUMBER(text) is None:
            raise FilterError(f"{parameter}: milliseconds, a whole number")
        return int(text)
    if name == "since":
        try:
            parse_duration(text)
        except ValueError:
            raise FilterError(f"{parameter}: {DURATION.form}") from None
    return text


def _moment_ms(parameter: str, text: str) -> int:
    try:
        found = datetime.fromisoformat(text)
        at_ms = round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise FilterError(f"{parameter}: a time such as 2026-01-31T14:30:00Z (UTC without a zone)") from None
    return min(max(0, at_ms), MOST_TIME_MS)


def _written(name: str, value: object) -> str:
    if name in ("from_ms", "to_ms") and isinstance(value, int):
        return datetime.fromtimestamp(value / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value)


_PARAMETERS: Final[Mapping[str, str]] = {
    each.name: {"priority": "class", "from_ms": "from", "to_ms": "to", "slower_ms": "slower"}.get(each.name, each.name)
    for each in fields(Filters)
}
_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "status": codes.STATUSES,
    "priority": PRIORITIES,
    "error": codes.ERRORS[1:],
    "reason": codes.REASONS[1:],
    "cache": codes.CACHES[1:],
}
