"""A data directory that we make is the one that Kafka's own tool makes."""

import shutil
from pathlib import Path

import pytest

from ops.brokers import class_archive, kafka_jars, start_broker
from ops.brokers.base import BrokerError
from ops.brokers.node import SETTINGS, write_properties
from ops.brokers.storage import format_storage, new_id


@pytest.fixture
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The jars, in a cache where nothing was formatted yet."""
    if (reason := kafka_jars.missing()) is not None:
        pytest.skip(reason)
    folder = kafka_jars.jars(print)
    cache = tmp_path / "cache" / "headrace"
    cache.mkdir(parents=True)
    (cache / folder.name).symlink_to(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parent))
    return cache


def properties(folder: Path, **more: str) -> Path:
    settings = {
        **SETTINGS,
        "node.id": "1",
        "listeners": "PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2",
        "controller.quorum.voters": "1@127.0.0.1:2",
        "log.dirs": str(folder / "data"),
        **more,
    }
    folder.mkdir()
    path = folder / "server.properties"
    write_properties(path, settings)
    return path


def contents(folder: Path) -> tuple[dict[str, str], bytes]:
    lines = (folder / "data" / "meta.properties").read_text().splitlines()
    meta = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    return meta, (folder / "data" / "bootstrap.checkpoint").read_bytes()


def test_the_first_is_made_by_kafkas_tool_and_the_next_ones_are_alike(tmp_path: Path, fresh_cache: Path) -> None:
    made = []
    for name in ("by-the-tool", "by-us"):
        folder, cluster = tmp_path / name, new_id()
        format_storage(folder / "data", properties(folder), 1, cluster)
        meta, checkpoint = contents(folder)
        assert meta["cluster.id"] == cluster
        made.append((meta, checkpoint))
    (by_tool, first), (by_us, second) = made
    assert by_us.keys() == by_tool.keys()
    assert {key: by_us[key] for key in ("version", "node.id")} == {key: by_tool[key] for key in ("version", "node.id")}
    assert len(by_us["directory.id"]) == len(by_tool["directory.id"]) == 22
    assert len({by_us["directory.id"], by_tool["directory.id"], by_us["cluster.id"]}) == 3
    assert second == first
    assert [path.name for path in fresh_cache.iterdir() if path.is_file()] == ["kafka-4.1.0.bootstrap.checkpoint"]


def test_what_has_an_identity_keeps_it(tmp_path: Path, fresh_cache: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "meta.properties").write_text("cluster.id=kept\n")
    format_storage(data, tmp_path / "unread", 1, new_id())
    assert (data / "meta.properties").read_text() == "cluster.id=kept\n"


def test_what_kafkas_tool_refuses_is_said_and_nothing_is_kept(tmp_path: Path, fresh_cache: Path) -> None:
    folder = tmp_path / "node"
    wrong = properties(folder, **{"process.roles": "barista"})
    with pytest.raises(BrokerError, match=r"could not be formatted for Kafka: .*process\.roles"):
        format_storage(folder / "data", wrong, 1, new_id())
    assert not [path for path in fresh_cache.iterdir() if path.is_file()]


@pytest.mark.long
def test_kafkas_classes_are_kept_once_and_an_archive_that_does_not_fit_stops_nobody(fresh_cache: Path) -> None:
    """JDK-8284313 (a jar was touched), JDK-8296754 (another Java's archive), JDK-8261455 (a damaged one)."""
    (jars,) = fresh_cache.iterdir()
    real = jars.resolve()
    jars.unlink()
    shutil.copytree(real, jars)
    told: list[str] = []
    with start_broker("apache", progress=told.append):
        pass
    (archive,) = fresh_cache.glob("*.jsa")
    assert told == ["preparing Apache Kafka for this Java (once, some seconds) …"]
    with start_broker("apache", progress=told.append) as second:
        assert archive.name in Path(f"/proc/{second.pid}/maps").read_text()
    next(jars.glob("kafka-clients-*.jar")).touch()
    with start_broker("apache", progress=told.append) as third:
        assert archive.name not in Path(f"/proc/{third.pid}/maps").read_text()
    archive.unlink()  # Java leaves it read-only
    archive.write_bytes(b"no archive")
    with start_broker("apache", progress=told.append) as fourth:
        assert fourth.alive()
    assert len(told) == 1


@pytest.mark.long
def test_where_no_archive_can_be_kept_kafka_starts_without_one(
    fresh_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> Path:
        raise BrokerError("it ended while starting")

    monkeypatch.setattr(class_archive, "_write", refused)
    with start_broker("apache") as broker:
        assert broker.alive()
    assert not list(fresh_cache.glob("*.jsa"))
