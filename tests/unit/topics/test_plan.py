"""The plan says what differs between the contract and a broker, and how to mend it."""

from dataclasses import replace

from topics.catalogue import TopicSpec, catalogue
from topics.plan import FoundTopic, plan

WANTED = catalogue(partitions=9)


def found_as(spec: TopicSpec) -> FoundTopic:
    defaults = {"segment.bytes": "1073741824"}
    return FoundTopic(spec.name, spec.partitions, spec.replication_factor, {**defaults, **spec.config}, spec.config)


FOUND = {spec.name: found_as(spec) for spec in WANTED}


def test_a_broker_as_wanted_has_no_differences() -> None:
    assert plan(WANTED, FOUND) == []


def test_an_empty_broker_lacks_every_topic_in_the_catalogues_order() -> None:
    differences = plan(WANTED, {})
    assert [d.topic for d in differences] == [spec.name for spec in WANTED]
    assert {d.kind for d in differences} == {"missing"}
    assert str(differences[0]) == "agent.requests.high: missing, wanted 9 partitions (headrace topics apply)"


def test_too_few_partitions_name_the_flag_and_what_it_moves() -> None:
    (difference,) = plan(WANTED, FOUND | {"agent.responses": replace(FOUND["agent.responses"], partitions=8)})
    assert str(difference) == (
        "agent.responses: partitions is 8, wanted 9 (headrace topics apply --allow-repartition; it moves 11.1 % of the "
        "keys to another partition)"
    )


def test_too_many_partitions_cannot_be_taken_away() -> None:
    (difference,) = plan(WANTED, FOUND | {"agent.responses": replace(FOUND["agent.responses"], partitions=12)})
    assert "set topics.partitions = 12" in difference.mend
    (difference,) = plan(WANTED, FOUND | {"limits.leases": replace(FOUND["limits.leases"], partitions=3)})
    assert "delete the topic and apply again" in difference.mend


def test_each_setting_that_differs_is_one_line() -> None:
    topic = FOUND["agent.requests.low"]
    config = {**(topic.config or {}), "retention.ms": "1000", "message.timestamp.type": "CreateTime"}
    differences = plan(WANTED, FOUND | {topic.name: replace(topic, config=config)})
    assert [(d.kind, d.key, d.wanted, d.found) for d in differences] == [
        ("config", "retention.ms", "86400000", "1000"),
        ("config", "message.timestamp.type", "LogAppendTime", "CreateTime"),
    ]


def test_a_list_in_another_order_is_the_same() -> None:
    topic = FOUND["cache.entries"]
    config = {**(topic.config or {}), "cleanup.policy": "delete, compact"}
    assert plan(WANTED, FOUND | {topic.name: replace(topic, config=config)}) == []


def test_a_replication_factor_that_differs_is_reported() -> None:
    (difference,) = plan(WANTED, FOUND | {"agent.responses": replace(FOUND["agent.responses"], replication_factor=3)})
    assert (difference.kind, difference.wanted, difference.found) == ("replication", "1", "3")


def test_settings_that_a_broker_does_not_tell_are_not_compared() -> None:
    assert plan(WANTED, {name: replace(topic, config=None) for name, topic in FOUND.items()}) == []
