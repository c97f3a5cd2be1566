"""What the demo runs on: a broker with the topics, a group that begins at their end, a simulated provider."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from ops.admin.records import open_reader, partitions_of
from ops.brokers import Broker, BrokerError, kafka_jars, start_broker_async
from ops.processes.child import ChildProcess
from ops.processes.fleet import WorkerProcess, clean_environment, headrace_command
from streams.errors import HeadraceError
from streams.kafka import provision
from streams.kafka.assignor import StickyAssignor
from streams.settings import Effective, Settings

Say = Callable[[str], None]

SIMULATOR: Final = {"ttft": "200ms", "per-token": "8ms", "jitter": "0.1"}
"""The trace's answers have 257 tokens on average and at most 1,000: 2.3 s on average, 8 to 10 s at most, so that the last
one is there soon after the last request. 125 tokens/s is the pace of a fast provider."""

_SIMULATOR_SAYS: Final = "listens on "
_SIMULATOR_WITHIN_S: Final = 20.0
_LOOK_EVERY_S: Final = 0.05
_ENDS_WITHIN_S: Final = 5.0


class DemoError(HeadraceError):
    """Why the demo cannot run: one line that says what is wrong and what to do."""


async def open_broker(
    wanted: str | None, effective: Effective, say: Say, stack: AsyncExitStack
) -> tuple[Broker, Settings]:
    """A broker, and settings whose [kafka] reaches it.

    `wanted` is what --broker says; without it the broker that the settings name, if they name one and it answers, else Apache
    Kafka where it can run, else the embedded one. A broker that was started here ends with `stack`. Raises DemoError.
    """
    settings = effective.settings
    named = effective.origin(("kafka", "bootstrap_servers")) != "default"
    servers = settings.kafka.bootstrap_servers
    try:
        if wanted is None and named:
            try:
                return await start_broker_async(servers), settings
            except BrokerError:
                say(f"no broker answers at {servers}, which {effective.origin(('kafka', 'bootstrap_servers'))} names")
        broker = await stack.enter_async_context(
            await start_broker_async(wanted, progress=say) if wanted else await _best_broker(say)
        )
    except BrokerError as error:
        raise DemoError(f"{error}; or choose another with --broker embedded|apache|HOST:PORT") from error
    if broker.kind == "yours":
        kafka = settings.kafka.model_copy(update={"bootstrap_servers": broker.bootstrap_servers})
        return broker, settings.model_copy(update={"kafka": kafka})
    # One node that speaks plain text, whatever the settings say of another broker.
    return broker, Settings.model_validate({"kafka": {"bootstrap_servers": broker.bootstrap_servers}})


async def _best_broker(say: Say) -> Broker:
    """Apache Kafka; where it cannot be had, such as without a network for Maven, the embedded broker."""
    if kafka_jars.missing() is None:
        try:
            return await start_broker_async("apache", progress=say)
        except BrokerError as error:
            say(f"{error}: the embedded broker is taken")
    return await start_broker_async("embedded", progress=say)


async def prepare_topics(settings: Settings, say: Say) -> None:
    """Make the topics that are missing. Raises DemoError where one exists with other partitions, ProvisionError."""
    report = await provision.apply(settings.kafka.client_options(), settings.catalogue())
    if report.done:
        say(f"made {len(report.done)} topics")
    fatal = [difference for difference in report.differences if difference.kind in ("missing", "partitions")]
    if fatal:
        raise DemoError(str(fatal[0]))


async def insist_no_fleet(settings: Settings) -> None:
    """Refuse a broker on which workers run: they and the demo's would both answer both's requests. Raises DemoError."""
    async with provision.admin_of(settings.kafka.client_options()) as admin:
        for group, kind in await admin.list_consumer_groups():
            if kind != "consumer":
                continue
            # One by one: aiokafka 0.14 cannot read an answer about several groups.
            (response,) = await admin.describe_consumer_groups([group])
            ((_error, _group, _state, _kind, protocol, members, *_),) = response.groups
            if protocol == StickyAssignor.name and members:
                raise DemoError(
                    f"workers of the group {group} run on this broker and would answer the demo's requests, and the "
                    "demo's workers theirs: use `headrace replay` to put load on them, or --broker embedded"
                )


async def begin_at_the_end(settings: Settings, group_id: str) -> None:
    """Commit the ends of the request topics for a group, so that it takes nothing of what is there already."""
    async with open_reader(settings.kafka.client_options(), group_id=group_id) as consumer:
        partitions = await partitions_of(consumer, settings.topics.names.requests)
        consumer.assign(partitions)
        await consumer.commit(await consumer.end_offsets(partitions))


@asynccontextmanager
async def running_simulator(log_file: Path) -> AsyncIterator[str]:
    """A provider simulator in a process of its own; gives its base URL. Raises DemoError."""
    latency = [part for name, value in SIMULATOR.items() for part in (f"--{name}", value)]
    command = headrace_command("provider-sim", "--port", "0", *latency)
    child = ChildProcess(command, log_file, clean_environment())
    try:
        yield await _url_of(child)
    finally:
        await asyncio.to_thread(child.stop)


@asynccontextmanager
async def running(command: str, settings_file: Path, folder: Path) -> AsyncIterator[WorkerProcess]:
    """A front, control or control room in a process of its own, ready; its log is in the folder. Raises WorkerError."""
    process = WorkerProcess(command, settings_file, folder / f"{command}.log", command=command)
    try:
        await process.wait_ready()
        yield process
    finally:
        await process.stop(_ENDS_WITHIN_S)


async def _url_of(child: ChildProcess) -> str:
    try:
        async with asyncio.timeout(_SIMULATOR_WITHIN_S):
            while child.alive():
                _, found, url = child.log_text().partition(_SIMULATOR_SAYS)
                if found and url.endswith("\n"):
                    return url.split()[0]
                await asyncio.sleep(_LOOK_EVERY_S)
    except TimeoutError:
        pass
    raise DemoError(f"the provider simulator did not start: {child.last_words()}")
