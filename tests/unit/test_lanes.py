"""Which test files may run beside each other (tests/support/lanes.py)."""

from pathlib import Path

import pytest

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


def test_faults_are_tried_one_after_the_other(tmp_path: Path) -> None:
    (tmp_path / "chaos").mkdir()
    files = [tmp_path / "chaos" / name for name in ("test_a.py", "test_b.py")]
    for file in files:
        file.write_text("async def test_a(pipeline: Pipeline): ...")
    assert lane_of(files[0], "apache") == lane_of(files[1], "apache")


def test_on_a_broker_that_is_given_files_that_need_it_run_one_after_the_other(files: tuple[Path, Path, Path]) -> None:
    first, second, without = (lane_of(file, "kafka.example:9092") for file in files)
    assert first == second != without


def test_what_a_file_needs_is_read_from_the_fixtures_that_it_names(files: tuple[Path, Path, Path]) -> None:
    assert [needs_broker(file) for file in files] == [True, True, False]
