"""What nobody has caught is logged and counted; it ends the process unless nothing depends on it."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator

import pytest
from aiokafka.errors import KafkaConnectionError
from structlog.testing import capture_logs

from ops.processes.service import wait_broken
from streams.kafka.membership import GroupRefusedError
from streams.unhandled import FaultError, Unhandled
from tests.support.requests import until
from tests.unit.test_supervise import faults


@pytest.fixture
async def unhandled() -> AsyncIterator[Unhandled]:
    hook = threading.excepthook
    yield Unhandled.watch()
    threading.excepthook = hook
    asyncio.get_running_loop().set_exception_handler(None)


def broken() -> None:
    raise KeyError("no good")


async def test_a_callback_that_raises_ends_the_process(unhandled: Unhandled) -> None:
    before = faults("callback")
    with capture_logs() as logs:
        asyncio.get_running_loop().call_soon(broken)
        with pytest.raises(FaultError, match="no good"):
            await asyncio.wait_for(unhandled.wait(), 60)
    assert (unhandled.happened, faults("callback") - before) == (True, 1)
    assert (logs[0]["log_level"], type(logs[0]["exc_info"])) == ("critical", KeyError)


@pytest.mark.parametrize(("error", "ends"), [(KeyError("ours"), True), (KafkaConnectionError("away"), False)])
async def test_a_task_that_nobody_awaits_ends_the_process_unless_the_broker_went_away(
    unhandled: Unhandled, error: Exception, ends: bool
) -> None:
    before = faults("callback")

    async def work() -> None:
        raise error

    task = asyncio.create_task(work())
    await until(task.done)
    del task
    gc.collect()
    await until(lambda: faults("callback") > before)
    assert unhandled.happened is ends


async def test_what_one_connection_sends_ends_no_process(unhandled: Unhandled) -> None:
    class Protocol(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            raise ValueError("bytes that nobody expected")

    before = faults("callback")
    server = await asyncio.get_running_loop().create_server(Protocol, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"\0")
    await until(lambda: faults("callback") > before)
    assert not unhandled.happened
    writer.close()
    server.close()


async def test_a_thread_that_raises_ends_the_process(unhandled: Unhandled) -> None:
    """uber/uReplicator#38: the fetcher's thread had died, and as it was still referred to, nobody made another."""
    before = faults("thread")
    threading.Thread(target=broken, name="one of ours").start()
    with pytest.raises(FaultError):
        await asyncio.wait_for(unhandled.wait(), 60)
    assert faults("thread") == before + 1


async def test_work_that_ends_by_itself_is_no_success(unhandled: Unhandled) -> None:
    """celery/celery#7358: a worker that had died ended with exit code 0."""

    async def stopped() -> None: ...

    with pytest.raises(FaultError, match="by itself"):
        await wait_broken(stopped(), unhandled)


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (RuntimeError("no good"), FaultError),  # robinhood/faust#301: the app had crashed, and the process stayed
        (asyncio.CancelledError(), FaultError),
        (GroupRefusedError("full"), GroupRefusedError),
    ],
)
async def test_what_stops_the_work_ends_the_process(
    unhandled: Unhandled, error: BaseException, found: type[Exception]
) -> None:
    async def stopped() -> None:
        raise error

    with pytest.raises(found):
        await wait_broken(stopped(), unhandled)
