"""What the kernel says of a control group, read from files as the kernel writes them; and of this process."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from schemas.metric_sample import System
from streams.metrics import cgroup
from streams.metrics.system import SystemMeter, usable_cores
from streams.settings.fleet import SystemMetric


@pytest.fixture
def pod(tmp_path: Path) -> tuple[Path, Path]:
    """/proc and /sys/fs/cgroup of a container whose pod has the tighter memory and the looser processor."""
    proc, cgroups = tmp_path / "proc", tmp_path / "cgroup"
    container = cgroups / "pod" / "container"
    (proc / "self").mkdir(parents=True)
    container.mkdir(parents=True)
    (proc / "self" / "cgroup").write_text("1:name=systemd:/other\n0::/pod/container\n")
    (container / "cpu.max").write_text("50000 100000\n")
    (container / "memory.max").write_text("max\n")
    (container / "memory.current").write_text("900\n")
    (container / "memory.stat").write_text("anon 300\ninactive_file 500\n")
    (cgroups / "pod" / "cpu.max").write_text("200000 100000\n")
    (cgroups / "pod" / "memory.max").write_text("1000\n")
    (cgroups / "pod" / "memory.current").write_text("950\n")
    (cgroups / "pod" / "memory.stat").write_text("anon 310\ninactive_file 150\n")
    return proc, cgroups


def test_the_smallest_quota_up_to_the_root_counts(pod: tuple[Path, Path]) -> None:
    assert cgroup.cores_allowed(*pod) == 0.5


def test_memory_is_what_cannot_be_dropped_of_the_limit_of_whichever_group_has_one(pod: tuple[Path, Path]) -> None:
    assert cgroup.memory_share(*pod) == pytest.approx(0.8)


def test_without_version_2_there_are_no_limits(tmp_path: Path) -> None:
    assert cgroup.cores_allowed(tmp_path, tmp_path) is None
    assert cgroup.memory_share(tmp_path, tmp_path) is None


@pytest.mark.parametrize("text", ["", "max\n", "-1\n", "100\n", "100 0\n", "ten 10\n"])
def test_what_is_no_quota_is_none(text: str) -> None:
    assert cgroup.cpu_quota(text) is None


def test_a_worker_is_at_its_limit_when_its_event_loop_takes_one_core() -> None:
    assert [usable_cores(quota, 8) for quota in (None, 0.25, 16.0)] == [1.0, 0.25, 1.0]


def test_a_process_that_is_busy_says_so() -> None:

    meter = SystemMeter(["cpu_usage", "memory_usage", "network_io", "disk_io"], budget_bytes=10**9)
    began, until = time.monotonic(), time.process_time() + 0.2
    while time.process_time() < until:
        pass
    found = meter.read(time.monotonic() - began)
    assert found.cpu_usage is not None
    assert 0 < found.cpu_usage <= 1.5 / (found.cpu_cores or 1)
    assert found.memory_usage_bytes is not None
    assert found.memory_usage_bytes > 10_000_000
    assert found.memory_share is not None
    assert found.memory_share >= found.memory_usage_bytes / 10**9 - 0.001
    idle = meter.read(1000.0)
    assert idle.cpu_usage is not None
    assert idle.cpu_usage < 0.01


@pytest.mark.parametrize(
    ("metric", "fields"),
    [
        ("cpu_usage", {"cpu_usage", "cpu_cores"}),
        ("memory_usage", {"memory_usage_bytes", "memory_share"}),
        ("network_io", {"network_received_bytes", "network_sent_bytes"}),
        ("disk_io", {"disk_read_bytes", "disk_written_bytes"}),
    ],
)
def test_only_what_the_settings_want_is_read(metric: SystemMetric, fields: set[str]) -> None:
    found = SystemMeter([metric], budget_bytes=10**9).read(1.0)
    assert {name for name in System.__slots__ if getattr(found, name) is not None} <= fields
