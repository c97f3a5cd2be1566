"""Keeps the processes of a roster: the asyncio around it. Starts, watches, drains; gives up loudly."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Self

import structlog

from ops.processes.fleet import WorkerProcess
from ops.processes.supervisor.logs import bound_logs
from ops.processes.supervisor.roster import Place, Roster
from streams.metrics import definitions as metrics
from streams.supervise import supervised

log = structlog.get_logger("headrace.supervisor")

_LOOK_S: Final = 0.1
_BOUND_LOGS_EVERY: Final = 100
"""Looks."""


class Keeper:
    """Keeps as many processes of one `headrace` command as are wanted, inside an `async with` block, and ends all with it.

    Args:
        command: of `headrace`: `worker`, `control` or `front`.
        roster: empty; says what to do.
        settings_file: for the processes; None: they are given none.
        env: their HEADRACE_ variables.
        log_dir: there each process has a file.
        ready_within_s: a process that is not ready by then is ended and started anew.
        drain_s: from SIGTERM to SIGKILL.
    """

    def __init__(
        self,
        command: str,
        roster: Roster,
        *,
        settings_file: Path | None,
        env: Mapping[str, str],
        log_dir: Path,
        ready_within_s: float,
        drain_s: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.command = command
        self.roster = roster
        self.processes: dict[str, WorkerProcess] = {}
        self._settings_file = settings_file
        self._env = env
        self._log_dir = log_dir
        self._ready_within_s = ready_within_s
        self._drain_s = drain_s
        self._now = now
        self._told_at: dict[str, float] = {}
        self._loop: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._loop = supervised("keeper", self._run)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._loop is not None
        self._loop.cancel()
        await asyncio.gather(self._loop, return_exceptions=True)
        await asyncio.gather(*(process.stop(self._drain_s) for process in self.processes.values()))

    def want(self, count: int) -> None:
        """So many from now on."""
        self.roster.want(count, self._now())

    def signal_ready(self, number: int) -> None:
        """Send a signal to each process that has said that it is ready."""
        for name, process in self.processes.items():
            if self.roster.places[name].state == "ready":
                process.signal(number)

    @property
    def all_given_up(self) -> bool:
        """Whether no process is left and none will be started."""
        given_up = self.roster.counts()["given_up"]
        return 0 < given_up == len(self.roster.places)

    async def wait_settled(self, timeout_s: float) -> bool:
        """Until as many are ready as are wanted and the others are gone; False if that takes longer."""
        try:
            async with asyncio.timeout(timeout_s):
                while not self.roster.is_settled:  # noqa: ASYNC110 - processes have no event for us
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            return False
        return True

    async def wait_broken(self) -> None:
        """Returns when every place was given up."""
        while not self.all_given_up:  # noqa: ASYNC110 - processes have no event for us
            await asyncio.sleep(_LOOK_S)

    def addresses(self) -> dict[str, str]:
        """HOST:PORT of the ready ones' HTTP endpoints, by name."""
        return {
            name: process.http
            for name, process in self.processes.items()
            if process.http is not None and self.roster.places[name].state == "ready"
        }

    async def _run(self) -> None:
        looks = 0
        while True:
            for name in list(self.processes):
                self._look(self.roster.places[name], self.processes[name])
            for place in self.roster.to_start(self._now()):
                self._start(place)
            for state, count in self.roster.counts().items():
                metrics.SUPERVISED.labels(self.command, state).set(count)
            looks += 1
            if looks % _BOUND_LOGS_EVERY == 0:
                in_use = {process.log_file for process in self.processes.values()}
                await asyncio.to_thread(bound_logs, self._log_dir, in_use)
            await asyncio.sleep(_LOOK_S)

    def _start(self, place: Place) -> None:
        log_file = self._log_dir / f"{place.name}.log"
        self.processes[place.name] = WorkerProcess(
            place.name,
            self._settings_file,
            log_file,
            {"HEADRACE_HTTP__LISTEN": "127.0.0.1:0", **self._env},
            self.command,
        )
        log.info("starting", process=place.name, pid=self.processes[place.name].pid, log_file=str(log_file))

    def _look(self, place: Place, process: WorkerProcess) -> None:
        now = self._now()
        if not process.alive:
            self._ended(place, process)
        elif place.state == "draining":
            self._drain(place, process)
        elif place.state == "starting" and process.is_ready():
            self.roster.is_ready(place.name, now)
            log.info("ready", process=place.name, pid=process.pid, http=process.http)
        elif place.state == "starting" and now - place.since > self._ready_within_s:
            log.error("not ready in time, ending it", process=place.name, waited_s=self._ready_within_s)
            process.kill()

    def _drain(self, place: Place, process: WorkerProcess) -> None:
        told_at = self._told_at.get(place.name)
        if told_at is None:
            self._told_at[place.name] = self._now()
            process.signal(signal.SIGTERM)
            log.info("draining", process=place.name, pid=process.pid)
        elif self._now() - told_at > self._drain_s:
            log.error("not drained in time, ending it", process=place.name, waited_s=self._drain_s)
            process.kill()

    def _ended(self, place: Place, process: WorkerProcess) -> None:
        del self.processes[place.name]
        self._told_at.pop(place.name, None)
        left = self.roster.ended(place.name, self._now())
        if left is None:
            log.info("drained and gone", process=place.name, exit_code=process.exit_code)
            return
        metrics.SUPERVISED_RESTARTS.labels(self.command).inc()
        say = {"process": place.name, "exit_code": process.exit_code, "failures": left.failures}
        if left.state == "given_up":
            log.error("GIVEN UP: it does not start", **say, last_words=process.last_words())
        else:
            log.error("ended by itself, starting it anew", **say, in_s=left.start_at - self._now())
