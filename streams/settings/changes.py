"""What differs between two settings, and which of it a running process can take without a restart. Pure.

Every key of the reference is either in `LIVE`, with the processes that take it, or below one of `RESTART`: it is read once, at
the start, because topics, connections, queues or stores are built from it. A test holds that no key is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from streams.settings.base import Section
from streams.settings.keys import SENSITIVE
from streams.settings.model import Settings
from streams.settings.providers import Endpoint, Provider

Process = Literal["worker", "control", "front", "ui", "up"]
Class = Literal["live", "restart"]

_EVERY: Final[frozenset[Process]] = frozenset({"worker", "control", "front", "ui", "up"})
_CALLS: Final[frozenset[Process]] = frozenset({"worker"})
_BOOKS: Final[frozenset[Process]] = frozenset({"worker", "ui"})
_SIZES: Final[frozenset[Process]] = frozenset({"control", "up"})
_DECIDES: Final[frozenset[Process]] = frozenset({"control"})

LIVE: Final[Mapping[str, frozenset[Process]]] = {
    "providers[].rate_limit.requests": _BOOKS,
    "providers[].rate_limit.tokens": _BOOKS,
    "providers[].rate_limit.input_tokens": _BOOKS,
    "providers[].rate_limit.output_tokens": _BOOKS,
    **{
        f"providers[].endpoints[].{name}": _CALLS
        for name in ("name", "url", "weight", "api_key_env", "api_key_file", "headers", "accepts_gzip", "health_path")
    },
    "providers[].timeout": _CALLS,
    "providers[].retry.max_attempts": _CALLS,
    "providers[].retry.base_delay": _CALLS,
    "providers[].retry.max_delay": _CALLS,
    "providers[].retry.max_time": _CALLS,
    "scaling.limits.min": _SIZES,
    "scaling.limits.max": _SIZES,
    "scaling.limits.increment": _DECIDES,
    "scaling.cooldown": _DECIDES,
    "scaling.missing_windows": _DECIDES,
    "scaling.stale_after": _DECIDES,
    **{f"scaling.triggers.{name}.{key}": _DECIDES for name in ("cpu", "memory") for key in ("threshold", "duration")},
    **{f"scaling.triggers.queue.{key}": _DECIDES for key in ("length", "wait_time", "expired_share", "expired_least")},
    **{f"scaling.scale_out.{key}": _DECIDES for key in ("step", "cooldown", "effect", "retry")},
    **{
        f"scaling.scale_in.{key}": _DECIDES
        for key in ("step", "cooldown", "duration", "cpu", "memory", "queue", "wait", "expired", "remember")
    },
    "logging.level": _EVERY,
    "logging.lines_per_second": _EVERY,
    "redaction.patterns": _EVERY,
    "redaction.paths": _EVERY,
    "redaction.replacement": _EVERY,
}
"""Keys, as the reference names them, that take effect while processes run; all others wait for the next start."""

LIVE_LISTS: Final[Mapping[str, frozenset[Process]]] = {"prices": _CALLS}
"""Lists that are taken whole: entries come and go, too."""

RESTART: Final = (
    "fleet", "kafka", "topics", "requests", "queueing", "backpressure", "pool", "concurrency", "agents", "providers", "routing",
    "limits", "tenants", "costs", "budgets",
    "cache", "metrics", "http", "front", "ui", "scaling", "supervisor", "targets", "memory", "gc", "loop",
    "pooling", "network", "logging", "redaction", "trace",
)  # fmt: skip
"""Sections whose other keys are read at the start alone."""

_URL: Final = "providers[].endpoints[].url"
_MASK: Final = "***"
_MASKED: Final = SENSITIVE - {"url"}


def takers(key: str) -> frozenset[Process]:
    """The processes in which a change of this live key takes effect."""
    return LIVE.get(key) or LIVE_LISTS[re.split(r"[.\[]", key, maxsplit=1)[0]]


def class_of(key: str) -> Class:
    """Whether a key of the reference takes effect in a running process. KeyError for a key of a section that nobody classed.

    >>> class_of("logging.level"), class_of("kafka.group_id")
    ('live', 'restart')
    """
    section = re.split(r"[.\[]", key, maxsplit=1)[0]
    if key in LIVE or section in LIVE_LISTS:
        return "live"
    if section not in RESTART:
        raise KeyError(f"{key}: its section is neither live nor restart; class it in streams/settings/changes.py")
    return "restart"


@dataclass(frozen=True, slots=True)
class Value:
    """A key's value. `key` is the reference's name of it; `shown` the value as a file would write it, secrets masked."""

    key: str
    shown: Any
    real: tuple[Any] | None = None
    """What it is; None where only `shown` is known. Never told to anybody."""
    endpoint: str = ""
    """The place of the endpoint that it belongs to, if to one."""

    def same(self, other: Value) -> bool:
        if self.real is None or other.real is None:
            return bool(self.shown == other.shown)
        return self.real == other.real


Flat = Mapping[str, Value]
"""Values by place: `kafka.group_id`, `providers.main.timeout`, `providers.main.endpoints[NAME].weight`."""


@dataclass(frozen=True, slots=True)
class Change:
    """One key that differs. `was`, `now`: as a file would write them, secrets masked; None where there is none."""

    place: str
    key: str
    was: Any
    now: Any
    kind: Class

    def __str__(self) -> str:
        return f"{self.place}: {_text(self.was)} -> {_text(self.now)}"


def flat(settings: Settings) -> dict[str, Value]:
    """Every value by its place. Providers and their endpoints stand under their names: one more changes nothing of the others."""
    return dict(_flat(settings, "", "", ""))


def _flat(section: Section, place: str, key: str, endpoint: str) -> Iterator[tuple[str, Value]]:
    for name, value in section:
        at, of = (f"{place}.{name}", f"{key}.{name}") if place else (name, name)
        if isinstance(value, Section):
            yield from _flat(value, at, of, endpoint)
        elif isinstance(value, list) and value and isinstance(value[0], Section):
            labels = section.endpoint_labels if isinstance(section, Provider) else None
            for index, entry in enumerate(value):
                inner = (
                    f"{at}.{entry.name}"
                    if isinstance(entry, Provider)
                    else f"{at}[{labels[index] if labels else index}]"
                )
                yield from _flat(entry, inner, f"{of}[]", inner if isinstance(entry, Endpoint) else endpoint)
        else:
            written = section.model_dump(mode="json", include={name})[name]
            masked = _MASK if name in _MASKED and written else written
            yield at, Value(of, masked, (written,), endpoint)


def changes(running: Flat, new: Flat, started: Flat | None = None) -> list[Change]:
    """What differs, in the order of the new one; then what is gone. An endpoint that is new or gone is one change, of its URL.

    A change of a live key needs a restart all the same where what it belongs to is new or gone: a provider; and a limit of a
    provider that had none when the process `started`.
    """
    found = []
    for place in dict.fromkeys([*new, *running]):
        if _same(running, new, place):
            continue
        was, now = running.get(place), new.get(place)
        known = now or was or Value("", None)
        key, kind = known.key, class_of(known.key)
        comes_or_goes = was is None or now is None
        if comes_or_goes and known.endpoint and key != _URL:
            continue
        if comes_or_goes and key in LIVE and not (key == _URL and _has_provider(running, new, known.endpoint)):
            kind = "restart"
        if key == "providers[].timeout" and _counted_at_end(new, place):
            kind = "restart"  # the books hold a use for as long as a call may take
        if ".rate_limit." in key and not _had_limit(running if started is None else started, place):
            kind = "restart"
        found.append(Change(place, key, was and was.shown, now and now.shown, kind))
    return found


def taken(running: Flat, new: Flat, made: list[Change]) -> dict[str, Value]:
    """What is in force once the live ones of these changes are."""
    live = {each.place for each in made if each.kind == "live"}

    def is_live(place: str, value: Value) -> bool:
        return place in live or (bool(value.endpoint) and f"{value.endpoint}.url" in live)

    kept = {place: value for place, value in running.items() if not is_live(place, value)}
    return kept | {place: value for place, value in new.items() if is_live(place, value)}


def _same(running: Flat, new: Flat, place: str) -> bool:
    was, now = running.get(place), new.get(place)
    return was is not None and now is not None and was.same(now)


def _has_provider(running: Flat, new: Flat, endpoint: str) -> bool:
    """Whether the provider of an endpoint is in both."""
    at = f"{endpoint.partition('.endpoints[')[0]}.timeout"
    return at in running and at in new


def _had_limit(started: Flat, place: str) -> bool:
    limits = place.rpartition(".")[0]
    names = [key.rpartition(".")[2] for key in LIVE if ".rate_limit." in key]
    return any(value.shown != "unlimited" for name in names if (value := started.get(f"{limits}.{name}")) is not None)


def _counted_at_end(new: Flat, place: str) -> bool:
    counted = new.get(place.removesuffix(".timeout") + ".rate_limit.counted_at")
    return counted is not None and counted.shown == "end"


def _text(value: Any) -> str:
    return "not set" if value is None else f'"{value}"' if isinstance(value, str) else str(value).lower()
