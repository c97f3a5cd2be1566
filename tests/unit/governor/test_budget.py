"""How much a worker may use: settings, cgroups and the machine, read from files as the kernel writes them."""

from pathlib import Path

import psutil

from streams.governor.budget import cgroup_limit, memory_budget

GB = 10**9


def kernel(root: Path, own: str, limits: dict[str, str]) -> dict[str, Path]:
    """A /proc and a cgroup tree; `limits` by path of the file below the tree."""
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "self" / "cgroup").write_text(own)
    for name, text in limits.items():
        file = root / "cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    return {"proc": root / "proc", "cgroups": root / "cgroup"}


def test_a_container_s_limit_stands_at_the_root_of_what_it_sees(tmp_path: Path) -> None:
    assert cgroup_limit(**kernel(tmp_path, "0::/\n", {"memory.max": "2000000000"})) == 2 * GB


def test_the_least_limit_on_the_way_up_holds(tmp_path: Path) -> None:
    limits = {"a/b/memory.max": "max", "a/memory.max": "3000000000", "memory.max": "9000000000"}
    assert cgroup_limit(**kernel(tmp_path, "0::/a/b\n", limits)) == 3 * GB


def test_the_line_at_which_the_kernel_slows_a_process_down_counts_as_a_limit(tmp_path: Path) -> None:
    limits = {"a/memory.max": "3000000000", "a/memory.high": "2000000000"}
    assert cgroup_limit(**kernel(tmp_path, "0::/a\n", limits)) == 2 * GB


def test_no_limit_no_version_2_and_no_proc_are_no_limit(tmp_path: Path) -> None:
    assert cgroup_limit(**kernel(tmp_path / "max", "0::/a\n", {"a/memory.max": "max"})) is None
    assert cgroup_limit(**kernel(tmp_path / "one", "4:memory:/a\n", {"a/memory.max": "1"})) is None
    assert cgroup_limit(tmp_path / "nothing", tmp_path / "nothing") is None


def test_the_setting_goes_first_but_not_beyond_what_the_cgroup_allows(tmp_path: Path) -> None:
    places = kernel(tmp_path, "0::/\n", {"memory.max": "2000000000"})
    proc, cgroups = places["proc"], places["cgroups"]
    assert memory_budget(GB, proc=proc, cgroups=cgroups).bytes == GB
    assert memory_budget(5 * GB, proc=proc, cgroups=cgroups).bytes == 1_800_000_000
    assert memory_budget(None, proc=proc, cgroups=cgroups).bytes == 1_800_000_000
    assert "cgroup" in memory_budget(5 * GB, proc=proc, cgroups=cgroups).source


def test_without_any_limit_a_quarter_of_the_machine_is_the_budget(tmp_path: Path) -> None:
    found = memory_budget(None, proc=tmp_path, cgroups=tmp_path)
    assert found.bytes == psutil.virtual_memory().total // 4
    assert "machine" in found.source
    assert memory_budget(None, proc=tmp_path, cgroups=tmp_path, machine_bytes=8 * GB).bytes == 2 * GB
