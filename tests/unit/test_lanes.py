"""Which test files may run beside each other (tests/support/lanes.py)."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.lane_scheduling import LaneScheduling
from tests.support.lanes import lane_of, needs_broker


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    texts = ("async def test_a(pipeline: Pipeline): ...", "def test_b(broker: Broker): ...", "def test_c(): ...")
    made = tuple(tmp_path / f"test_{n}.py" for n in range(3))
    for file, text in zip(made, texts, strict=True):
        file.write_text(text)
    return made[0], made[1], made[2]


@pytest.mark.parametrize("kind", ["docker", "apache", "embedded"])
def test_on_brokers_of_their_own_files_run_beside_each_other(files: tuple[Path, Path, Path], kind: str) -> None:
    assert len({lane_of(file, kind) for file in files}) == 3


def test_files_that_share_a_fleet_run_one_after_the_other(tmp_path: Path) -> None:
    (tmp_path / "front_clients").mkdir()
    files = [tmp_path / "front_clients" / name for name in ("test_a.py", "test_b.py")]
    for file in files:
        file.write_text("async def test_a(pipeline: Pipeline): ...")
    assert lane_of(files[0], "apache") == lane_of(files[1], "apache")


def test_on_a_broker_that_is_given_files_that_need_it_run_one_after_the_other(files: tuple[Path, Path, Path]) -> None:
    first, second, without = (lane_of(file, "kafka.example:9092") for file in files)
    assert first == second != without


def test_what_a_file_needs_is_read_from_the_fixtures_that_it_names(files: tuple[Path, Path, Path]) -> None:
    assert [needs_broker(file) for file in files] == [True, True, False]


class Process:
    """What the scheduling needs of a process of pytest-xdist."""

    def __init__(self, name: str) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.shutting_down = False
        self.given: list[int] = []

    def send_runtest_some(self, indices: list[int]) -> None:
        self.given += indices

    def shutdown(self) -> None:
        self.shutting_down = True


@pytest.mark.parametrize("processes", [1, 2, 6])
def test_the_last_process_begins_at_the_other_end_and_every_test_is_given_once(tmp_path: Path, processes: int) -> None:
    tests = [f"test_{file:02}.py::test_{n}" for file in range(20) for n in range(3)]
    for file in {each.partition("::")[0] for each in tests}:
        (tmp_path / file).write_text("")
    config: Any = SimpleNamespace(
        getvalue=lambda _: ["popen"] * processes,
        option=SimpleNamespace(loadscopereorder=False),
        rootpath=tmp_path,
    )
    scheduling = LaneScheduling(config, None, "apache")
    nodes: list[Any] = [Process(f"gw{n}") for n in range(processes)]
    for node in nodes:
        scheduling.add_node(node)
        scheduling.add_node_collection(node, tests)
    scheduling.schedule()
    assert tests[nodes[0].given[0]] == tests[0]
    assert tests[nodes[-1].given[0]] == ("test_00.py::test_0" if processes == 1 else "test_19.py::test_0")
    done = dict.fromkeys(range(processes), 0)
    while any(done[n] < len(node.given) for n, node in enumerate(nodes)):
        for n, node in enumerate(nodes):
            if done[n] < len(node.given):
                scheduling.mark_test_complete(node, node.given[done[n]])
                done[n] += 1
    assert sorted(index for node in nodes for index in node.given) == list(range(len(tests)))
    assert scheduling.tests_finished
