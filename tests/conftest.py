"""The broker that tests run on, and names that no other test uses.

One broker serves a process: the one at KAFKA_BOOTSTRAP_SERVERS if set, else a container where a docker engine runs,
else Apache Kafka where Java and Maven are, else the embedded one. The header of the run says which, and why not the
ones before it. TEST_REQUIRE_APACHE=1 (set in CI) makes anything but a real Apache Kafka a failure.

With `pytest -n 7` each process has a broker of its own, except of one at KAFKA_BOOTSTRAP_SERVERS: what needs that runs in one
process (tests/support/lanes.py).
"""

import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings

from ops.brokers import Broker, BrokerError, kafka_jars, start_broker
from tests.support import again
from tests.support.broker import REAL_KAFKA, Choice, choose, start
from tests.support.lanes import needs_broker
from tests.support.zygote import ZYGOTE, install

# Where a change is judged, everybody gets the same examples; at home new ones are tried with every run.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("here", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "here")

_CHOICE = pytest.StashKey[Choice]()


def pytest_configure(config: pytest.Config) -> None:
    install()
    choice = config.stash[_CHOICE] = choose()
    if os.environ.get("TEST_REQUIRE_APACHE") == "1" and choice.kind not in REAL_KAFKA:
        why = "; ".join(choice.passed_over)
        raise pytest.UsageError(f"TEST_REQUIRE_APACHE=1, but the broker would be {choice.kind}. {why}")


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist, which a run in one process can do without
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from tests.support.lane_scheduling import LaneScheduling

    return LaneScheduling(config, log, config.stash[_CHOICE].kind)


@pytest.hookimpl(tryfirst=True)  # before -m looks at the markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs a broker comes first: it takes longest. A fixture of a fixture that needs one would hide that from the lanes."""
    for item in items:
        if item.get_closest_marker("alone") is not None:
            item.add_marker(pytest.mark.long)
        if "broker" in getattr(item, "fixturenames", ()) and not needs_broker(item.path):
            raise pytest.UsageError(f"{item.nodeid} needs a broker, and its file does not name the fixture")
    items.sort(key=lambda item: not needs_broker(item.path))


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    again.run(item, nextitem)
    return True


def pytest_report_header(config: pytest.Config) -> list[str]:
    choice = config.stash[_CHOICE]
    return [f"broker: {choice.kind}", *(f"  not {reason}" for reason in choice.passed_over)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.write_line(f"broker: {config.stash[_CHOICE].kind}")


@pytest.fixture(autouse=True)
def long_way(request: pytest.FixtureRequest) -> Iterator[None]:
    """What measures starts its processes as users do (tests/support/zygote.py)."""
    was = ZYGOTE.off
    ZYGOTE.off = was or request.node.get_closest_marker("alone") is not None
    yield
    ZYGOTE.off = was


@pytest.fixture(scope="session")
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """The broker of this process; shared by its tests, so use `unique` names, and `private_broker` to stop or kill one."""
    choice = request.config.stash[_CHOICE]
    if choice.kind is None:
        pytest.skip(f"no broker can run here: {'; '.join(choice.passed_over)}")
    try:
        started = start(choice.kind)
    except BrokerError as error:
        pytest.fail(str(error), pytrace=False)
    with started:
        yield started
        assert started.alive(), f"the broker of this process ended before its tests: {started.last_words()}"


@pytest.fixture
def private_broker() -> Iterator[Callable[[], Broker]]:
    """Starts an Apache Kafka of the test's own, which it may stop (SIGSTOP) or kill; ended with the test."""
    reason = kafka_jars.missing()
    if reason is not None:
        pytest.skip(reason)
    started: list[Broker] = []

    def begin() -> Broker:
        started.append(start_broker("apache", progress=print))
        return started[-1]

    try:
        yield begin
    finally:
        for each in started:
            each.stop()


@pytest.fixture
def unique() -> Callable[[str], str]:
    """Makes a name for a topic or group that no other test has: `unique("orders")` -> `orders-3f9c0a1b`."""
    return lambda name: f"{name}-{uuid.uuid4().hex[:8]}"
