"""A key file is replaced in every way that people and machines replace files; the key in use is a whole one at any time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from ops.processes.logs import Scrubber
from streams.providers.keys import KeyFile, KeySource


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text("sk-first-key\n")
    return path


def key_file(path: Path) -> KeyFile:
    return KeyFile(path, "sk-first-key", "main", "https://h/v1")


async def looked_twice(file: KeyFile) -> str | None:
    await file.look()
    await file.look()
    return file.current


def in_place(path: Path, text: str) -> None:
    path.write_text(text)


def by_an_editor(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def by_hand(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


def spoil(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)


@pytest.mark.parametrize("replace", [in_place, by_an_editor, by_hand])
async def test_a_new_key_is_taken_once_two_looks_found_it(path: Path, replace: object) -> None:
    assert callable(replace)
    file = key_file(path)
    await file.look()
    replace(path, "sk-second-key\r\n")
    await file.look()
    assert file.current == "sk-first-key"
    await file.look()
    assert file.current == "sk-second-key"


async def test_a_kubernetes_secret_is_swapped_by_its_folder(tmp_path: Path) -> None:
    """The kubelet's AtomicWriter: key -> ..data/key, ..data -> a folder with a time in its name."""
    for name, key in (("..2026_01", "sk-first-key"), ("..2026_02", "sk-second-key")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "key").write_text(key)
        os.utime(tmp_path / name / "key", (1_700_000_000, 1_700_000_000))  # both written long ago, the same moment
    data = tmp_path / "..data"
    data.symlink_to("..2026_01")
    (tmp_path / "key").symlink_to("..data/key")
    file = key_file(tmp_path / "key")
    assert await looked_twice(file) == "sk-first-key"
    (tmp_path / "..data_tmp").symlink_to("..2026_02")
    (tmp_path / "..data_tmp").rename(data)
    assert await looked_twice(file) == "sk-second-key"


async def test_a_key_of_the_same_length_written_within_a_tick_is_seen(path: Path) -> None:
    file = key_file(path)
    await file.look()
    before = os.stat(path)  # noqa: PTH116
    in_place(path, "sk-other-key\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert await looked_twice(file) == "sk-other-key"


async def test_a_key_written_by_halves_is_never_in_use(path: Path) -> None:
    file = key_file(path)
    await file.look()
    for half in ("", "sk-sec", "sk-second-key"):
        in_place(path, half)
        await file.look()
        assert file.current == "sk-first-key"
    await file.look()
    assert file.current == "sk-second-key"


@pytest.mark.parametrize("bad", [b"", b"two\nlines", b'"quoted"', b"\xff\xfe", None])
async def test_a_bad_file_is_told_once_and_the_key_stays(path: Path, bad: bytes | None) -> None:
    file = key_file(path)
    spoil(path, bad)
    with capture_logs() as said:
        for _ in range(5):
            await file.look()
    assert file.current == "sk-first-key"
    assert [each["log_level"] for each in said] == ["warning"]
    assert said[0]["file"] == str(path)
    in_place(path, "sk-second-key")
    assert await looked_twice(file) == "sk-second-key"
    spoil(path, b"")
    with capture_logs() as said:
        await looked_twice(file)
    assert len(said) == 1, "a second time is told again"


async def test_what_was_there_all_the_time_changes_nothing(path: Path) -> None:
    file, changes = key_file(path), 0

    def on_change() -> None:
        nonlocal changes
        changes += 1

    file.on_change = on_change
    os.utime(path, (1_700_000_000, 1_700_000_000))
    await looked_twice(file)
    in_place(path, "\n sk-first-key")
    await looked_twice(file)
    assert changes == 0
    in_place(path, "sk-second-key")
    await looked_twice(file)
    assert changes == 1


async def test_a_refused_key_has_the_file_looked_at_there_and_then(path: Path) -> None:
    file = key_file(path)
    assert not await file.refused("sk-first-key")
    by_an_editor(path, "sk-second-key")
    assert await file.refused("sk-first-key")
    assert file.current == "sk-second-key"
    assert await file.refused("sk-first-key"), "a call that was under way with the old key may go again too"
    assert not await file.refused("sk-second-key")


async def test_a_pipe_is_read_once_only(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "key")
    assert await looked_twice(key_file(tmp_path / "key")) == "sk-first-key"


async def test_the_key_and_the_one_before_it_are_in_no_text(path: Path) -> None:
    file = key_file(path)
    in_place(path, "sk-second-key")
    await looked_twice(file)
    assert file.scrub("not sk-first-key, not sk-second-key") == "not ***, not ***"
    assert KeySource(None).scrub("text") == "text"


async def test_the_log_scrubs_a_key_that_came_later(path: Path) -> None:
    scrub = Scrubber(["sk-first-key"])
    event = {"event": "sk-first-key sk-third-key"}
    assert scrub(structlog.get_logger(), "info", event) == {"event": "*** sk-third-key"}
    file = key_file(path)
    in_place(path, "sk-third-key")
    await looked_twice(file)
    assert scrub(structlog.get_logger(), "info", event) == {"event": "*** ***"}
