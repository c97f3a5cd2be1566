"""The provider simulator in a process of its own, with its ledger: who was called how often, and when."""

import asyncio
import re
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import orjson

from ops.processes.child import ChildProcess
from ops.processes.fleet import clean_environment, headrace_command

_LISTENS = re.compile(r"listens on (http://\S+)/v1")
_START_S = 60.0


@dataclass(frozen=True, slots=True)
class SimCall:
    """One provider call, as the simulator saw it. Times are Unix seconds; `ended_at` None: under way, or never ended."""

    request_id: str
    arrived_at: float
    ended_at: float | None
    outcome: str | None


class Simulator:
    """Runs `headrace provider-sim` inside an `async with` block. `url` is what a provider's endpoint needs."""

    def __init__(self, directory: Path, *options: str) -> None:
        self._ledger = directory / "calls.jsonl"
        self._log = directory / "simulator.log"
        self._options = options
        self._address = ""

    @property
    def url(self) -> str:
        return f"{self._address}/v1"

    async def __aenter__(self) -> Self:
        command = headrace_command("provider-sim", "--port", "0", "--ledger", str(self._ledger), *self._options)
        self._child = ChildProcess(command, self._log, clean_environment())
        async with asyncio.timeout(_START_S):
            while (found := _LISTENS.search(self._log.read_text())) is None:
                assert self._child.alive(), self._child.last_words()
                await asyncio.sleep(0.02)
        self._address = found[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._child.stop)

    async def stats(self) -> dict[str, Any]:
        """Counts up to now: `calls`, `in_flight`, `max_in_flight`, `by_outcome`, `by_id`."""
        found: dict[str, Any] = await asyncio.to_thread(self._get, "/admin/stats")
        return found

    async def generations(self) -> dict[str, dict[str, int]]:
        """By request id: how often its answer was `begun`, `continued`, `attached` to, `cancelled`, and its `tokens`."""
        found: dict[str, dict[str, int]] = (await asyncio.to_thread(self._get, "/admin/generations"))["by_id"]
        return found

    async def forget(self) -> None:
        """What goes on in the background is unknown from now on."""
        await asyncio.to_thread(self._get, "/admin/forget", b"{}")

    async def configure(self, **settings: object) -> None:
        """Change settings of the running simulator; a change of its limits begins a new count."""
        await asyncio.to_thread(self._get, "/admin/config", orjson.dumps(settings))

    def _get(self, path: str, body: bytes | None = None) -> Any:
        with urllib.request.urlopen(self._address + path, body, timeout=60) as response:
            return orjson.loads(response.read())

    async def wait_in_flight(self, count: int, timeout_s: float = 60.0) -> None:
        """Until at least so many calls are under way."""
        async with asyncio.timeout(timeout_s):
            while (await self.stats())["in_flight"] < count:  # noqa: ASYNC110 - another process has no event for us
                await asyncio.sleep(0.05)

    def calls(self) -> list[SimCall]:
        """All calls that came with a request id, in the order of their arrival."""
        arrived: dict[int, SimCall] = {}
        for line in self._lines():
            if line["id"] is None:
                continue
            if line["event"] == "arrival":
                arrived[line["call"]] = SimCall(line["id"], line["at"], None, None)
            else:
                began = arrived[line["call"]]
                arrived[line["call"]] = SimCall(began.request_id, began.arrived_at, line["at"], line["outcome"])
        return list(arrived.values())

    def calls_by_id(self) -> Counter[str]:
        """How often each request was sent to the provider."""
        return Counter(call.request_id for call in self.calls())

    def _lines(self) -> Iterator[dict[str, Any]]:
        whole, _, _ = self._ledger.read_bytes().rpartition(b"\n")  # the last line may be half written
        yield from map(orjson.loads, filter(None, whole.split(b"\n")))
