"""Two tenants whose cached answers are encrypted, in a fleet: killed, its keys rotated, lost and put back, and new at one
worker before another; nothing is lost."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from ops.brokers import Broker
from ops.processes.fleet import Fleet, WorkerProcess
from tests.integration.test_reload import events, hang_up
from tests.support.cli import headrace
from tests.support.pipeline import PARTITIONS, wait_until
from tests.support.positions import read_all
from tests.support.tenants import Callers, asking, open_callers

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

K1, K2, K3 = (f"k{number}:{f'{number:02x}' * 32}" for number in (1, 2, 3))
MISSING = "are encrypted by a key that is not here"
TAKEN, REFUSED = "settings read again", "the settings are wrong and not taken, those before stay"


@pytest.fixture
async def callers(kafka: Broker, tmp_path: Path, unique: Callable[[str], str]) -> AsyncIterator[Callers]:
    async with open_callers(kafka, tmp_path, unique("rest"), ("acme", "beta")) as callers:
        yield callers


async def test_keys_are_rotated_lost_and_found_while_workers_die(callers: Callers) -> None:
    """kroxylicious/kroxylicious#1339: a rotated key was used only after a restart. #2346 and #969: a key that was missing stopped
    readers, in silence. servicenow.com "Rotate encryption keys": one proxy has the new key, another not yet.
    """
    files = {name: callers.pipeline.directory / f"{name}.keys" for name in ("acme", "beta")}
    for file in files.values():
        file.write_text(K1)
    settings: dict[str, object] = {"kafka.session_timeout": "3s"}
    settings |= {f"tenants.{name}.cache.key_file": str(file) for name, file in files.items()}
    counts = dict.fromkeys(files, 0)

    async def found(tenant: str, content: str) -> str:
        """Where the answer to it came from."""
        counts[tenant] += 1
        at = await callers.send(tenant, asking(content))
        answer = (await callers.answers(callers.names.responses_of(tenant), counts[tenant], 60))[at]
        assert answer["status"] == "ok"
        return str(answer["cache"])

    async def locked_by() -> set[str]:
        """Keys that encrypt what is on the topic; fails for an entry that shows what was asked."""
        records = await read_all(callers.pipeline.client_options, [callers.names.cache_entries])
        values = [record.value for record in records if record.value]
        assert not any(b"question" in value or b"choices" in value for value in values)
        return {orjson.loads(value)["encrypted_by"] for value in values}

    async with callers.pipeline.fleet(**settings) as fleet:
        worker = await anew(fleet, None)
        for tenant in files:
            assert [await found(tenant, f"question {n}") for n in range(4)] == ["none"] * 4, (
                "and never another tenant's"
            )
        worker = await anew(fleet, worker)
        assert {await found(tenant, "question 0") for tenant in files} == {"disk"}, "what was encrypted outlives a kill"
        assert await locked_by() == {"acme/k1", "beta/k1"}

        files["acme"].write_text(f"{K2} {K1}")
        await read_again(worker, TAKEN)
        assert await found("acme", "question of k2") == "none"
        assert await found("acme", "question 1") == "disk"
        assert await locked_by() == {"acme/k1", "acme/k2", "beta/k1"}

        files["acme"].write_text(K2)  # too early: what k1 has encrypted is still good
        await read_again(worker, TAKEN)
        assert [await found("acme", f"question {n}") for n in (2,)] == ["none"], "answered, and paid for again"
        told = [line for line in worker.log_text().splitlines() if MISSING in line]
        assert len(told) == 1
        assert orjson.loads(told[0])["key"] == "acme/k1"
        assert await found("beta", "question 1") == "disk", "another tenant notices nothing"

        files["acme"].unlink()
        await read_again(worker, REFUSED)
        files["acme"].write_text(f"{K3} {K2} {K1}")
        await read_again(worker, TAKEN)
        assert await found("acme", "question 3") == "disk", "nothing was deleted"
        worker = await anew(fleet, worker)
        assert await found("acme", "question of k2") == "disk"
        assert await found("acme", "question 2") == "disk", "as it was paid for the second time"
        secrets = {word.partition(":")[2] for word in (K1, K2, K3)}
        logs = "".join(path.read_text(errors="replace") for path in callers.pipeline.directory.glob("*.log"))
        assert not any(secret in logs for secret in secrets)


async def anew(fleet: Fleet, worker: WorkerProcess | None) -> WorkerProcess:
    """Another worker in the place of one that is killed."""
    if worker is not None:
        worker.signal(signal.SIGKILL)
    (started,) = await fleet.start(1, ready_within_s=90.0)
    return started


async def read_again(worker: WorkerProcess, says: str) -> Any:
    before = len(events(worker, says))
    hang_up([worker])

    async def has_said() -> bool:
        return len(events(worker, says)) > before

    await wait_until(has_said, 60)


class Asking:
    """Asks acme's questions on partitions of choice; every one is answered, once."""

    def __init__(self, callers: Callers, producer: AIOKafkaProducer) -> None:
        self._callers = callers
        self._producer = producer
        self._asked = 0

    async def found(self, question: int, partition: int) -> str:
        """Where the answer came from."""
        value = orjson.dumps(asking(f"question {question}"))
        topic, options = self._callers.names.requests_of("acme")["normal"], self._callers.pipeline.client_options
        sent = await self._producer.send_and_wait(topic, value, b"agent", partition=partition)
        self._asked += 1
        answers = await self._callers.answers(self._callers.names.responses_of("acme"), self._asked, 60)
        answer = answers[f"{sent.topic}:{sent.partition}:{sent.offset}"]
        assert answer["status"] == "ok"
        written = await read_all(options, [self._callers.names.responses_of("acme")])
        assert len(written) == self._asked, "none is answered twice"
        return str(answer["cache"])

    async def new_key(self, question: int, partition: int) -> str:
        """The key with which the partition's worker keeps an answer that it pays for."""
        before = len(await self._kept_by())
        assert await self.found(question, partition) == "none"

        async def is_kept() -> bool:
            return len(await self._kept_by()) > before

        await wait_until(is_kept, 60)
        return (await self._kept_by())[-1]

    async def _kept_by(self) -> list[str]:
        records = await read_all(self._callers.pipeline.client_options, [self._callers.names.cache_entries])
        values = [each.value for each in sorted(records, key=lambda each: each.timestamp) if each.value]
        return [orjson.loads(value)["encrypted_by"] for value in values]


async def test_workers_with_the_old_key_and_workers_with_the_new_one_first_lose_nothing(callers: Callers) -> None:
    """servicenow.com "Rotate encryption keys": proxies take the new key one after the other."""
    pipeline = callers.pipeline
    files = {name: pipeline.directory / f"{name}.keys" for name in "ab"}
    async with AsyncExitStack() as stack:
        producer = AIOKafkaProducer(**pipeline.client_options)
        await producer.start()
        stack.push_async_callback(producer.stop)
        acme = Asking(callers, producer)
        workers = {}
        for name, file in files.items():
            file.write_text(K1)
            (pipeline.directory / name).mkdir()
            made = pipeline.settings(
                **{
                    "tenants.acme.cache.key_file": str(file),
                    "tenants.beta.weight": 1,
                    "cache.disk.path": str(pipeline.directory / name / "cache"),
                    "metrics.interval": "1s",
                }
            )
            settings = made.rename(pipeline.directory / name / "headrace.toml")
            fleet = await stack.enter_async_context(Fleet(settings, pipeline.directory / name))
            (workers[name],) = await fleet.start(1, ready_within_s=90.0)
        await pipeline.wait_members(2, 60)

        async def all_have_read() -> None:
            """Forgetting somebody whom nobody knows waits until every worker has read all entries."""
            told = await headrace("forget", "--agent", "nobody", "--yes", "--json", settings=settings)
            came = orjson.loads(told.out)
            assert (told.code, came["deleted"], len(came["said"])) == (0, 0, 2), told

        def told(name: str) -> list[str]:
            lines = [line for line in workers[name].log_text().splitlines() if MISSING in line]
            return [orjson.loads(line)["key"] for line in lines]

        files["b"].write_text(f"{K2} {K1}")
        await read_again(workers["b"], TAKEN)
        owned: dict[str, list[int]] = {"acme/k1": [], "acme/k2": []}
        for number in range(PARTITIONS):
            owned[await acme.new_key(number, number)].append(number)
        olds, news = owned.values()
        assert len(olds) >= 2
        assert len(news) >= 3
        await all_have_read()

        assert {await acme.found(number, news[0]) for number in olds} == {"disk"}, "who has both keys finds all"
        assert [await acme.found(number, olds[0]) for number in news[:2]] == ["none"] * 2, "a miss, paid for again"
        assert [await acme.found(number, olds[1]) for number in news[:2]] == ["memory"] * 2, "and only once"
        await all_have_read()
        assert (told("a"), told("b")) == (["acme/k2"], []), "in one line for all of them"

        files["a"].write_text(f"{K2} {K1}")
        await read_again(workers["a"], TAKEN)
        assert await acme.found(news[2], olds[0]) == "disk", "nothing was deleted meanwhile"
        assert {
            await acme.found(number, partition) for number in (*olds, *news) for partition in (olds[0], news[0])
        } <= {
            "disk",
            "memory",
        }
        assert (told("a"), told("b")) == (["acme/k2"], [])
