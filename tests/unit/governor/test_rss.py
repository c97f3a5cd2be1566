"""What is resident, as the system's own list of processes has it."""

from __future__ import annotations

import os
from mmap import mmap

import psutil
import pytest

from streams.governor.rss import rss_reader


def test_it_is_what_psutil_says_and_grows_with_what_is_held() -> None:
    rss = rss_reader()
    before = rss()
    assert abs(before - psutil.Process().memory_info().rss) < 8 * 2**20
    with mmap(
        -1, 64 * 2**20
    ) as held:  # of its own: what tests before have freed is resident still, and given out again
        held.write(os.urandom(64 * 2**20))
        assert rss() - before > 48 * 2**20


def test_without_proc_psutil_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.governor.rss._STATM", "/nowhere/statm")
    assert abs(rss_reader()() - psutil.Process().memory_info().rss) < 8 * 2**20
