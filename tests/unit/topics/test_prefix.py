"""Fleets with prefixes of their own never share the name of a topic."""

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.settings import Settings
from streams.settings.errors import SettingsError
from streams.settings.load import load_settings
from topics import catalogue, legal_topic_name
from topics.names import REPLY_TO_PREFIX, V1, TopicNames, prefix_fault, valid_reply_to

ROOT = Path(__file__).parents[3]

# Close to the names themselves, where two fleets could meet.
PIECES = [
    "agent",
    "agent.",
    "agent.responses",
    "responses.",
    "requests",
    ".high",
    "cache.",
    "entries",
    "a",
    "-",
    "_",
    ".",
]
PREFIXES = st.lists(st.sampled_from(PIECES), max_size=5).map("".join)


def test_without_a_prefix_the_names_are_those_of_the_contract() -> None:
    assert V1.all == tuple(spec.name for spec in catalogue())
    assert (V1.dead_letters, V1.cache_entries) == ("agent.requests.dlq", "cache.entries")


@given(PREFIXES)
def test_the_catalogue_behind_a_prefix_differs_in_names_alone(prefix: str) -> None:
    names = TopicNames.behind(prefix)
    for behind, plain in zip(catalogue(names=names), catalogue(), strict=True):
        assert (behind.name, behind.partitions, behind.config) == (prefix + plain.name, plain.partitions, plain.config)
    assert {topic: names.topic_of[priority] for topic, priority in names.priority_of.items()} == {
        topic: topic for topic in names.requests
    }


@given(PREFIXES, PREFIXES)
def test_two_prefixes_share_no_topic_and_no_reply_topic(one: str, other: str) -> None:
    if one == other or prefix_fault(one) is not None or prefix_fault(other) is not None:
        return
    ours, theirs = TopicNames.behind(one), TopicNames.behind(other)
    assert not set(ours.all) & set(theirs.all)
    for topic in (*theirs.all, f"{theirs.reply_to_prefix}chat", f"{theirs.reply_to_prefix}agent.responses.chat"):
        assert not valid_reply_to(topic, {topic}, ours.reply_to_prefix, ours.responses), (one, other)


@pytest.mark.parametrize(
    "prefix",
    ["a b", "ä.", "team/", "x\n", "a" * 229, "agent.responses.", "blue.agent.responses.x", REPLY_TO_PREFIX * 2],
)
def test_a_prefix_that_cannot_be_is_refused_in_one_line(prefix: str) -> None:
    with pytest.raises(SettingsError, match=r"topics\.prefix") as raised:
        load_settings(environ={"HEADRACE_TOPICS__PREFIX": prefix})
    assert len(str(raised.value).splitlines()) == 1


@given(st.text("abcXYZ019._-", max_size=228))
def test_behind_a_prefix_that_is_taken_every_name_is_legal(prefix: str) -> None:
    assert prefix_fault(prefix) is None
    assert all(map(legal_topic_name, TopicNames.behind(prefix).all))


def test_the_group_carries_the_prefix_unless_it_is_set() -> None:
    def group(**kafka: object) -> str:
        return Settings.model_validate({"topics": {"prefix": "blue."}, "kafka": kafka}).kafka.group_id

    assert (group(), group(group_id="mine")) == ("blue.headrace-workers", "mine")
    once = Settings.model_validate({"topics": {"prefix": "blue."}})
    twice = Settings.model_validate({"topics": once.topics, "kafka": once.kafka})
    assert twice.kafka.group_id == "blue.headrace-workers"


def test_reply_topics_are_behind_the_prefix_too() -> None:
    topics = Settings.model_validate({"topics": {"prefix": "blue.", "reply_prefix": "agent.responses.x-"}}).topics
    assert topics.reply_to_prefixes == ("blue.agent.responses.x-",)


def test_what_serves_a_fleet_uses_no_name_that_is_not_from_its_settings() -> None:
    plain = {name for name in vars(__import__("topics.names", fromlist=["_"])) if name.isupper()}
    plain -= {"PRIORITIES", "V1"}
    assert "REQUEST_TOPICS" in plain
    here = [*(ROOT / "streams").rglob("*.py"), *(ROOT / "ops").rglob("*.py")]
    found = {
        f"{path.relative_to(ROOT)}: {alias.name}"
        for path in here
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module in ("topics", "topics.names")
        for alias in node.names
        if alias.name in plain
        # Benchmarks, the simulation and the lab have a broker, or none, of their own.
        and not any(path.is_relative_to(ROOT / own) for own in ("ops/bench", "ops/simulation", "ops/lab"))
    }
    assert {line for line in found if not line.startswith("ops/admin/metric_lines.py")} == set()
