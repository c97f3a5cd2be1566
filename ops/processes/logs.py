"""Logging: one way out for our own events and for what libraries log.

Everything goes to stderr, one JSON object a line, or text for people where stderr is a terminal. Secrets are scrubbed
from every line, and a flood of one event is cut: the lines that were left out are counted and the count is logged.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from streams.redaction import in_force
from streams.settings.secrets import rotated

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["auto", "json", "console"]

# Libraries that say at INFO what nobody asked for; faust says it in the names of our modules. At debug they speak again.
CHATTY: Final = ("aiokafka", "faust", "mode", "streams", "httpx2", "httpcore2", "asyncio")

_KAFKA_CLIENT: Final = "aiokafka"
_CLIENT_EVERY_S: Final = 60.0
_COORDINATOR: Final = "aiokafka.consumer.group_coordinator"
_GROUPS_ARE_MADE_IN_S: Final = 10.0

# A secret shorter than this is left alone: scrubbing it would blacken ordinary words, and it protects nothing anyway.
_SHORTEST_SECRET: Final = 6
_SCRUBBED: Final = "***"


def configure(
    level: Level = "info",
    output: Format = "auto",
    *,
    secrets: Iterable[str] = (),
    lines_per_second: int = 20,
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Set up logging for the process. Calling it again replaces the set-up before.

    `secrets` never appear in a line; `lines_per_second` holds for each event (or each message template of a library).
    """
    out = stream or sys.stderr
    as_json = output == "json" or (output == "auto" and not out.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    scrub = Scrubber(secrets)
    ends: list[Processor] = (
        [structlog.processors.format_exc_info, scrub, structlog.processors.JSONRenderer(serializer=_json)]
        if as_json
        else [structlog.processors.format_exc_info, scrub, structlog.dev.ConsoleRenderer(colors=out.isatty())]
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ends],
        )
    )
    handler.addFilter(NewGroups(clock))
    handler.addFilter(LineLimit(lines_per_second, clock))
    logging.getLogger().handlers[:] = [handler]
    adjust(level, lines_per_second)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def adjust(level: Level, lines_per_second: int) -> None:
    """Another level and bound for the logging that is set up, from now on."""
    root = logging.getLogger()
    root.setLevel(level.upper())
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "debug" else logging.WARNING)
    for limit in (each for handler in root.handlers for each in handler.filters):
        if isinstance(limit, LineLimit):
            limit.lines_per_second = lines_per_second


class NewGroups(logging.Filter):
    """Passes over what the Kafka client calls an error where a broker has no group yet: it makes the topic of their offsets then,
    within seconds. What lasts longer is a fault (a replication factor above the number of brokers), and is told.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock
        self._since: float | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name != _COORDINATOR or "[Error 15]" not in record.getMessage():
            return True
        if self._since is None:
            self._since = self._clock()
        return logging.getLogger().level <= logging.DEBUG or self._clock() - self._since > _GROUPS_ARE_MADE_IN_S


class Scrubber:
    """Replaces secrets in every text of an event, however deep, tracebacks included. Those that were rotated since, too."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._given = tuple(secrets)
        self._rotated = 0
        self._secrets = _scrubbed(self._given)

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        if self._rotated != rotated.count:
            self._rotated = rotated.count
            self._secrets = _scrubbed((*self._given, *rotated.secrets))
        if not self._secrets and not in_force.rules.patterns:
            return event
        return {self._clean(key): self._clean(value) for key, value in event.items()}

    def _clean(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {self._clean(key): self._clean(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._clean(inner) for inner in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        text = value if isinstance(value, str) else repr(value)
        for secret in self._secrets:
            text = text.replace(secret, _SCRUBBED)
        return in_force.rules.text(text)


def _scrubbed(secrets: Iterable[str]) -> list[str]:
    """The longest first, so that a secret that contains another leaves nothing of itself behind."""
    return sorted({each for each in secrets if len(each) >= _SHORTEST_SECRET}, key=len, reverse=True)


@dataclass(slots=True)
class _Second:
    began: float
    lines: int = 0
    left_out: int = 0


@dataclass(slots=True)
class LineLimit:
    """At most so many lines of one event in a second; the next line let through says how many were left out.

    Of the Kafka client's own lines one a minute: it repeats each of them ten times a second while a broker is away, and the
    transport says what it means.

    The events are told apart by logger and text (for a library, the text before its arguments are put in), so their
    number is that of the log calls in the code. Should it grow all the same, the oldest are forgotten.
    """

    lines_per_second: int
    clock: Callable[[], float] = time.monotonic
    most_events: int = 1000
    _seconds: MutableMapping[tuple[str, str], _Second] = field(default_factory=dict)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record may be written. Notes on it how many like it were left out before."""
        event = (record.name, str(record.msg.get("event", "")) if isinstance(record.msg, dict) else str(record.msg))
        now = self.clock()
        second = self._seconds.get(event)
        is_clients = record.name.partition(".")[0] == _KAFKA_CLIENT
        if second is None or now - second.began >= (_CLIENT_EVERY_S if is_clients else 1):
            if second is not None and second.left_out:
                self._note(record, second.left_out)
            self._seconds.pop(event, None)
            while len(self._seconds) >= self.most_events:
                self._seconds.pop(next(iter(self._seconds)))
            second = self._seconds[event] = _Second(now)
        if second.lines >= (1 if is_clients else self.lines_per_second):
            second.left_out += 1
            return False
        second.lines += 1
        return True

    @staticmethod
    def _note(record: logging.LogRecord, left_out: int) -> None:
        if isinstance(record.msg, dict):
            record.msg["lines_left_out"] = left_out
        else:
            record.msg = f"{record.msg} [lines left out: {left_out}]"


def _json(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
