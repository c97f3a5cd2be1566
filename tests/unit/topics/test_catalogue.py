"""The catalogue is the contract's table of topics."""

import pytest

from schemas.export import MESSAGES
from topics import REQUEST_TOPICS, catalogue, legal_topic_name
from topics.control import control_topics
from topics.names import V1

BY_NAME = {spec.name: spec for spec in catalogue()}
DAY_MS = 86_400_000


def test_requests_responses_and_dead_letters_have_the_same_partitions() -> None:
    grown = [spec for spec in catalogue(partitions=60) if spec.partitions == 60]
    assert {spec.name for spec in grown} == {*REQUEST_TOPICS, "agent.responses", "agent.requests.dlq"}
    assert all(spec.grows for spec in grown)
    assert BY_NAME["agent.responses"].partitions == 12


def test_the_brokers_clock_stamps_requests_responses_and_all_control_records() -> None:
    stamped = {name for name, spec in BY_NAME.items() if spec.config.get("message.timestamp.type") == "LogAppendTime"}
    answers = {"agent.responses", "agent.responses.front", "agent.deltas"}
    assert stamped == {*REQUEST_TOPICS, *answers, *control_topics(V1)}


def test_a_dead_letter_is_allowed_to_be_larger_than_any_request() -> None:
    sizes = {name: int(spec.config["max.message.bytes"]) for name, spec in BY_NAME.items()}
    assert {sizes[name] for name in REQUEST_TOPICS} == {1_048_576}
    assert sizes["agent.requests.dlq"] == sizes["agent.responses"] == sizes["cache.entries"] == 2_097_152


@pytest.mark.parametrize(
    ("name", "days"),
    [
        ("agent.requests.high", 1),
        ("agent.responses", 1),
        ("agent.requests.dlq", 14),
        ("cache.entries", 1),
        ("limits.leases", 1),
        ("metrics.samples", 1),
        ("agent.admin", 30),
        ("metrics.windows", 7),
        ("scaling.decisions", 30),
        ("scaling.events", 30),
    ],
)
def test_records_are_kept_as_long_as_the_contract_says(name: str, days: int) -> None:
    assert int(BY_NAME[name].config["retention.ms"]) == days * DAY_MS


def test_deltas_are_kept_for_an_hour() -> None:
    config = BY_NAME["agent.deltas"].config
    assert (config["retention.ms"], config["segment.ms"]) == ("3600000", "600000")
    assert BY_NAME["agent.deltas"].partitions == BY_NAME["agent.responses.front"].partitions


def test_a_cancel_is_kept_for_as_long_as_a_request_may_take() -> None:
    assert int(BY_NAME["agent.cancels"].config["retention.ms"]) == 3_600_000 == DAY_MS / 24
    assert BY_NAME["agent.cancels"].partitions == 1


def test_only_cache_entries_costs_keys_and_budgets_are_compacted_and_keys_never_end() -> None:
    policies = {name: spec.config["cleanup.policy"] for name, spec in BY_NAME.items()}
    assert policies.pop("cache.entries") == policies.pop("costs.windows") == "compact,delete"
    assert policies.pop("agent.keys") == policies.pop("budgets.state") == "compact"
    assert set(policies.values()) == {"delete"}


def test_three_replicas_ask_for_two_in_sync() -> None:
    assert all(spec.config["min.insync.replicas"] == "2" for spec in catalogue(replication_factor=3))
    assert all("min.insync.replicas" not in spec.config for spec in catalogue(replication_factor=1))


def test_every_message_has_a_topic_and_every_name_is_legal() -> None:
    assert {message for spec in catalogue() for message in spec.messages} == set(MESSAGES)
    assert all(legal_topic_name(name) for name in BY_NAME)


@pytest.mark.parametrize(("partitions", "replicas"), [(0, 1), (1, 0), (-3, 1)])
def test_numbers_below_one_are_refused(partitions: int, replicas: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        catalogue(partitions, replicas)
