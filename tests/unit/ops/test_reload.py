"""Settings of a running process: read again when it is asked to and when their file changes, and never taken by halves.

As others met it: jdiazcano/cfg4k#65 (Kubernetes swaps a link in the middle of the path), open-feature/flagd#42 (the file is
removed and made again, and nothing is seen from then on), frankbria/codeframe#1230 (an empty file is read between truncation
and writing), Ichimonji10/killjoy#6 (a file that is gone, and another one of lower rank that is there),
trusteddomainproject/OpenDMARC#323 (SIGHUP ended the process).
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, MutableMapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from ops.processes.reload import Reload
from ops.processes.settings_file import SettingsFile
from streams.settings import Settings, SettingsError, load_settings

WITHIN_S = 5.0
BASE = '[[providers]]\nname = "main"\nendpoints = [{{ url = "http://a/v1" }}]\nrate_limit = {{ requests = "{}" }}\n'


def text(requests: str, more: str = "") -> str:
    return more + BASE.format(requests)


class Part:
    """A part of a process that takes limits, and refuses one."""

    def __init__(self) -> None:
        self.limits: list[str] = []
        self.signals = 0

    def prepare(self, settings: Settings) -> Callable[[], None]:
        limit = str(settings.providers[0].rate_limit.requests)
        if limit == "7/minute":
            raise SettingsError("seven is no limit")
        return lambda: self.limits.append(limit)

    def on_signal(self) -> None:
        self.signals += 1


@asynccontextmanager
async def reloading(path: Path) -> AsyncIterator[tuple[Part, Sequence[MutableMapping[str, Any]], Reload]]:
    part, file = Part(), SettingsFile.of(path)
    reload = Reload(file, load_settings(path), "worker", [part.prepare], [part.on_signal], every_s=0.05)
    with structlog.testing.capture_logs() as lines:
        reload.start()
        try:
            yield part, lines, reload
        finally:
            await reload.stop()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not condition():  # noqa: ASYNC110 - the file system has no event for us
            await asyncio.sleep(0.01)


def said(lines: Sequence[MutableMapping[str, Any]], event: str) -> list[MutableMapping[str, Any]]:
    return [line for line in lines if event in line["event"]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "headrace.toml"
    file.write_text(text("60/minute"))
    return file


def in_place(path: Path, content: str) -> None:
    path.write_text(content)


def by_rename(path: Path, content: str) -> None:
    new = path.with_name("new")
    new.write_text(content)
    new.replace(path)


def by_a_link_in_the_path(path: Path, content: str) -> None:
    """As Kubernetes does it: `headrace.toml` is a link to `..data/headrace.toml`, and `..data` is swapped."""
    (folder := path.with_name("..2026_2")).mkdir()
    (folder / "headrace.toml").write_text(content)
    link = path.with_name("..data_tmp")
    link.symlink_to(folder)
    link.replace(path.with_name("..data"))


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    (folder := tmp_path / "..2026_1").mkdir()
    (folder / "headrace.toml").write_text(text("60/minute"))
    (tmp_path / "..data").symlink_to(folder)
    (file := tmp_path / "mounted.toml").symlink_to("..data/headrace.toml")
    return file


def keeping_its_time(path: Path, content: str) -> None:
    """As `cp -p` and rsync do it: another file, no newer than the one before."""
    before = path.stat()
    by_rename(path, content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("replace", [in_place, by_rename, keeping_its_time])
async def test_a_file_that_was_replaced_is_taken_without_a_signal(
    path: Path, replace: Callable[[Path, str], None]
) -> None:
    async with reloading(path) as (part, lines, _):
        replace(path, text("120/minute"))
        await until(lambda: part.limits)
    assert part.limits == ["120/minute"]
    (change,) = said(lines, "a setting has changed")
    assert (change["setting"], change["was"], change["now"]) == (
        "providers.main.rate_limit.requests", "60/minute", "120/minute",
    )  # fmt: skip


async def test_a_mounted_config_map_is_taken_without_a_signal(mounted: Path) -> None:
    async with reloading(mounted) as (part, _, _):
        by_a_link_in_the_path(mounted, text("120/minute"))
        await until(lambda: part.limits)
    assert part.limits == ["120/minute"]


async def test_a_file_that_is_written_by_halves_is_taken_whole(path: Path) -> None:
    async with reloading(path) as (part, lines, _):
        for cut in (0, 20, 60, None):
            in_place(path, text("120/minute")[:cut])
            await asyncio.sleep(0.02)
        await until(lambda: part.limits)
    assert part.limits == ["120/minute"]
    assert not said(lines, "not taken")


async def test_a_file_of_lower_rank_does_not_take_the_place_of_one_that_is_gone(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder := tmp_path / "elsewhere").mkdir()
    in_place(folder / "headrace.toml", text("5/minute"))
    monkeypatch.chdir(folder)
    async with reloading(path) as (part, lines, _):
        path.unlink()  # noqa: ASYNC240
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: said(lines, "not taken"))
    assert not part.limits
    assert "No such file" in said(lines, "not taken")[0]["problem"]


async def test_a_file_is_not_read_again_while_nobody_touches_it(path: Path) -> None:
    async with reloading(path) as (part, lines, _):
        await asyncio.sleep(0.3)
    assert not part.limits
    assert not lines


async def test_a_signal_is_taken_at_once_and_tells_the_parts(path: Path) -> None:
    async with reloading(path) as (part, _, _):
        in_place(path, text("120/minute"))
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: part.limits)
        assert part.signals == 1
    assert part.limits[0] == "120/minute"


async def test_signals_in_a_row_are_one_reload_at_a_time(path: Path) -> None:
    async with reloading(path) as (part, lines, _):
        for _ in range(200):
            os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: part.limits)
        await asyncio.sleep(0.2)
    assert len(said(lines, "settings read again")) < 20


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("providers = [", "is no TOML"),
        (text("60 per minute"), "rate_limit.requests"),
        (text("60/minute", "[kafak]\nx = 1\n"), "kafka"),
        ("", "providers is empty"),
        (text("7/minute"), "seven is no limit"),
        (text("60/minute") + 'x = "\xff\xfe"', "is not a setting"),
    ],
)
async def test_what_is_wrong_is_one_line_and_the_old_ones_stay(path: Path, content: str, words: str) -> None:
    async with reloading(path) as (part, lines, reload):
        before = reload.document()
        in_place(path, content)
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: said(lines, "not taken"))
        assert reload.document() == before
        assert not part.limits
        (line,) = said(lines, "not taken")
        assert words in line["problem"]
        assert "\n" not in line["problem"]
        in_place(path, text("90/minute"))
        await until(lambda: part.limits)
    assert part.limits == ["90/minute"]


async def test_a_file_that_is_gone_for_a_moment_changes_nothing(path: Path) -> None:
    async with reloading(path) as (part, lines, _):
        path.unlink()  # noqa: ASYNC240
        await asyncio.sleep(0.2)
        assert not lines
        in_place(path, text("90/minute"))
        await until(lambda: part.limits)
    assert part.limits == ["90/minute"]


async def test_settings_from_a_pipe_are_not_read_a_second_time(path: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    part = Part()
    reload = Reload(SettingsFile(pipe), load_settings(path), "worker", [part.prepare], every_s=0.05)
    with structlog.testing.capture_logs() as lines:
        reload.start()
        try:
            os.kill(os.getpid(), signal.SIGHUP)
            await until(lambda: said(lines, "not taken"))
        finally:
            await reload.stop()
    assert "cannot be read a second time" in said(lines, "not taken")[0]["problem"]


async def test_what_needs_a_restart_is_said_once_a_setting_and_again_when_it_changes(path: Path) -> None:
    async with reloading(path) as (part, lines, _):
        for group in ("one", "one", "two"):
            in_place(path, text("60/minute", f'[kafka]\ngroup_id = "{group}"\nsession_timeout = "9s"\n'))
            seen = len(part.limits)
            os.kill(os.getpid(), signal.SIGHUP)
            await until(lambda: len(part.limits) > seen)  # noqa: B023 - awaited here
    told = [(line["setting"], line["file"]) for line in said(lines, "needs a restart")]
    assert told == [("kafka.group_id", "one"), ("kafka.session_timeout", "9s"), ("kafka.group_id", "two")]


async def test_a_signal_after_the_end_does_not_end_the_process(path: Path) -> None:
    async with reloading(path):
        pass
    os.kill(os.getpid(), signal.SIGHUP)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
