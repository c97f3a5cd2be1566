"""Logs: one object a line, without secrets, and never a flood."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from ops.processes import logs


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in logs.CHATTY}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_where_stderr_is_no_terminal_every_line_is_one_json_object() -> None:
    out = io.StringIO()
    logs.configure(stream=out)
    structlog.get_logger("headrace.worker").info("ready", partitions=[1, 2], key=b"bytes")
    logging.getLogger("some.library").warning("lost %s\nand found", "it")
    try:
        raise ValueError("no")
    except ValueError:
        structlog.get_logger("headrace.worker").exception("failed")
    ours, theirs, failed = lines(out)
    assert (ours["event"], ours["level"], ours["partitions"]) == ("ready", "info", [1, 2])
    assert (theirs["event"], theirs["logger"]) == ("lost it\nand found", "some.library")
    assert "ValueError: no" in failed["exception"]


def test_on_a_terminal_lines_are_for_people() -> None:
    out = Terminal()
    logs.configure(stream=out)
    structlog.get_logger("headrace.worker").info("ready")
    assert "ready" in out.getvalue()
    assert "{" not in out.getvalue()


def test_a_terminal_gets_json_when_it_is_asked_for() -> None:
    out = Terminal()
    logs.configure("info", "json", stream=out)
    structlog.get_logger("headrace.worker").info("ready")
    assert lines(out)[0]["event"] == "ready"


@pytest.mark.parametrize(("level", "said"), [("info", False), ("debug", True)])
def test_kafka_clients_speak_below_warning_only_at_debug(level: logs.Level, said: bool) -> None:
    out = io.StringIO()
    logs.configure(level, stream=out)
    logging.getLogger("aiokafka.consumer").info("joined")
    assert bool(out.getvalue()) is said


def test_configuring_again_writes_no_line_twice() -> None:
    out = io.StringIO()
    logs.configure(stream=out)
    logs.configure(stream=out)
    structlog.get_logger("headrace").info("once")
    assert len(lines(out)) == 1


@pytest.mark.parametrize("output", ["json", "console"])
def test_a_secret_is_in_no_line_wherever_it_hides(output: logs.Format) -> None:
    out = io.StringIO()
    logs.configure("info", output, stream=out, secrets=["hunter22", "hunter22-and-more"])
    log = structlog.get_logger("headrace")
    log.info("hunter22", nested={"hunter22": ["hunter22-and-more", ValueError("hunter22")]}, raw=b"hunter22")
    logging.getLogger("library").warning("key %s", "hunter22")
    try:
        raise ValueError("bad key hunter22")
    except ValueError:
        log.exception("failed")
    assert "***" in out.getvalue()
    assert "hunter22" not in out.getvalue()
    assert "-and-more" not in out.getvalue()


def test_a_flood_of_one_event_is_cut_and_counted_and_others_go_on() -> None:
    out, clock = io.StringIO(), Clock()
    logs.configure(stream=out, lines_per_second=3, clock=clock)
    log = structlog.get_logger("headrace")
    for number in range(10):
        log.warning("flood", number=number)
        logging.getLogger("library").warning("flood %d", number)
    log.warning("other")
    assert [line["event"] for line in lines(out)].count("flood") == 3
    assert lines(out)[-1]["event"] == "other"

    clock.now = 1.0
    log.warning("flood")
    logging.getLogger("library").warning("flood %d", 10)
    ours, theirs = lines(out)[-2:]
    assert ours["lines_left_out"] == 7
    assert theirs["event"] == "flood 10 [lines left out: 7]"


def test_what_is_remembered_of_events_is_bounded() -> None:
    limit = logs.LineLimit(1, Clock(), most_events=10)
    for number in range(1000):
        limit.filter(logging.LogRecord("x", logging.INFO, "", 0, f"event {number}", None, None))
    assert len(limit._seconds) == 10


def test_that_a_new_broker_has_no_group_yet_is_no_fault_until_it_lasts() -> None:
    """The first line of a healthy first start was an error; a cluster that cannot make the topic never gets over it."""
    now = 0.0
    groups = logs.NewGroups(lambda: now)

    def passes(event: str, name: str = "aiokafka.consumer.group_coordinator") -> bool:
        return groups.filter(logging.LogRecord(name, logging.ERROR, "", 0, event, None, None))

    no_group = "Group Coordinator Request failed: [Error 15] GroupCoordinatorNotAvailableError"
    said = []
    for second in range(0, 14, 2):
        now = float(second)
        said.append(passes(no_group))
    assert said == [False] * 6 + [True]
    assert passes("Group Coordinator Request failed: [Error 30] GroupAuthorizationFailedError")
    assert passes("[Error 15]", "aiokafka.conn")


def test_the_kafka_client_says_each_thing_once_a_minute() -> None:
    """KAFKA.md K1 and K12: 1,786 equal lines in two minutes, 148 at a killed leader."""
    now = 0.0
    limit = logs.LineLimit(20, lambda: now)
    written = []
    for tenth in range(1300):
        now = tenth / 10
        record = logging.LogRecord(
            "aiokafka.consumer.fetcher", logging.ERROR, "", 0, "Failed fetch from %s", (1,), None
        )
        if limit.filter(record):
            written.append((now, record.msg))
    assert written == [
        (0.0, "Failed fetch from %s"),
        (60.0, "Failed fetch from %s [lines left out: 599]"),
        (120.0, "Failed fetch from %s [lines left out: 599]"),
    ]
