"""What processes that run until a signal share: checks before the start, the stop, and waiting for whichever comes first."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import time
from collections.abc import Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Self

import structlog
from aiokafka.errors import KafkaError, NodeNotReadyError

from streams.errors import HeadraceError
from streams.kafka import provision
from streams.kafka.membership import GroupRefusedError
from streams.kafka.provision import BrokerUnreachableError, ProvisionError
from streams.scaling.realizers import RealizeError
from streams.settings import Settings
from streams.supervise import end, is_told_to_stop
from streams.unhandled import FaultError, Unhandled
from topics.access import Operation, missing_acl
from topics.catalogue import TopicSpec
from topics.plan import Difference, Needs

log = structlog.get_logger("headrace.service")

_CLUSTER_WITHIN_S: Final = 15.0
"""Kafka's controller takes a dead broker out after 9 s (broker.session.timeout.ms)."""

_ASK_AGAIN_S: Final = 0.5

_ONE_CLOCK: Final = "message.timestamp.type"  # without the broker's time no lease holds


class CannotStartError(HeadraceError):
    """Why the process cannot start: one line that says what is wrong and how to mend it."""


@dataclass(slots=True)
class Stop:
    """The first signal asks for an end in order, the second one for an end at once."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    at_once: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def on_signals(cls) -> Self:
        """Asked for by SIGTERM and SIGINT from now on."""
        stop = cls()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop._on_signal, number.name)
        return stop

    def _on_signal(self, name: str) -> None:
        (self.at_once if self.asked.is_set() else self.asked).set()
        log.info("stopping", signal=name, at_once=self.at_once.is_set())


def both(one: Needs, other: Needs) -> Needs:
    """What two processes in one need.

    >>> both({"a": ("Read",)}, {"a": ("Write",), "b": ("Read",)})
    {'a': ('Read', 'Write'), 'b': ('Read',)}
    """
    return {
        topic: tuple(sorted({*one.get(topic, ()), *other.get(topic, ())}))
        for topic in sorted(one.keys() | other.keys())
    }


async def check_start(
    settings: Settings, needed: Needs, groups: Mapping[str, Sequence[Operation]] = MappingProxyType({})
) -> None:
    """Raise CannotStartError where the broker does not answer, one of these topics is missing or wrong, or an ACL is missing."""
    names = settings.topics.names
    wanted = [spec for spec in settings.catalogue() if spec.name in needed]
    try:
        with client_is_quiet():
            report = await _check_topics(settings, wanted, needed)
    except ProvisionError as error:
        raise CannotStartError(str(error)) from error
    fatal = [
        difference
        for difference in report.differences
        if difference.kind in ("missing", "denied")
        or (difference.kind == "partitions" and not _only_grown(difference))
        or (difference.topic in (names.leases, names.budget_ledger) and difference.key == _ONE_CLOCK)
    ]
    if fatal:
        raise CannotStartError(str(fatal[0]))
    if denied := await _denied_groups(settings, groups):
        raise CannotStartError(f"{denied[0]}: {missing_acl(groups[denied[0]][0], denied[0], 'group')}")
    for difference in report.differences:
        log.warning("a topic differs from the contract", difference=str(difference))
    if not settings.fleet.signs:
        log.info("control records are not signed: control topics are trusted to the broker's ACLs")


async def _denied_groups(settings: Settings, groups: Collection[str]) -> Sequence[str]:
    """Groups that this user may not even see. What a broker does not tell now is no reason not to start."""
    if not groups:
        return ()
    try:
        with client_is_quiet():
            return await provision.denied_groups(settings.kafka.client_options(), groups)
    except ProvisionError:
        return ()


def _only_grown(difference: Difference) -> bool:
    """Whether a topic of several partitions has more than the settings say: somebody added some while the fleet ran, and a worker
    that starts anew must not fail for it. Where there is to be one, its order counts.
    """
    return int(difference.found) > int(difference.wanted) > 1


async def _check_topics(settings: Settings, wanted: Sequence[TopicSpec], needed: Needs) -> provision.Report:
    """Compare the topics. One broker of several that fails while it is asked is no reason not to start: others are asked then.

    Raises ProvisionError at once where no broker answers or one refuses for good, else after `_CLUSTER_WITHIN_S`.
    """
    gives_up_at = time.monotonic() + _CLUSTER_WITHIN_S
    while True:
        try:
            return await provision.check(settings.kafka.client_options(), wanted, needed)
        except ProvisionError as error:
            cause = error.__cause__
            answers = not isinstance(error, BrokerUnreachableError) or isinstance(cause, NodeNotReadyError)
            passing = isinstance(cause, TimeoutError) or (isinstance(cause, KafkaError) and cause.retriable)
            if not (answers and passing) or time.monotonic() > gives_up_at:
                raise
        await asyncio.sleep(_ASK_AGAIN_S)


@contextmanager
def client_is_quiet() -> Iterator[None]:
    """What the client logs while it tries would stand beside the one line that says how it ended."""
    client = logging.getLogger("aiokafka")
    level = client.level
    client.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        client.setLevel(level)


async def wait_broken(stopped: Coroutine[Any, Any, None], unhandled: Unhandled) -> None:
    """Wait until the process cannot go on: what `stopped` raised or that it returned, or what nobody has caught.

    Raises FaultError; GroupRefusedError and the realizer's errors as they are, which are no faults of ours.
    """
    ends = [asyncio.create_task(stopped), asyncio.create_task(unhandled.wait())]
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        ends[1 if ends[1].done() else 0].result()
    except (FaultError, GroupRefusedError, RealizeError):
        raise
    except (Exception, asyncio.CancelledError) as error:
        if is_told_to_stop(error):
            raise
        log.critical("the process cannot go on, it ends", exc_info=error)
        raise FaultError(f"a fault that nothing can mend: {error!r}") from error
    else:
        raise FaultError("the work has ended by itself")
    finally:
        await end(ends)


async def unless(stopping: asyncio.Event, *work: asyncio.Task[Any]) -> bool:
    """Wait for the first of `work`; False if the stop came first. Raises what the work raised."""
    stop = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait([stop, *work], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.cancel()
    for task in work:
        if task.done():
            task.result()
            return True
    for task in work:
        task.cancel()
    await asyncio.gather(*work, return_exceptions=True)
    return False


def settle_memory() -> None:
    """Take what the start has made out of the garbage collector's sight, and let it look less often.

    What a record makes goes by reference counts; the collector walked over the libraries' 200,000 objects for nothing. It
    cost 8 of 44 us a record (`headrace bench pipeline`, hits), and one full look of a front takes 50 ms, in which no token
    passes.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)
