"""A topic that this user may not see or use: the ACL is named, not called a missing topic."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from ops.admin.records import TopicMissingError, open_reader, partitions_of
from ops.brokers import kafka_jars
from ops.brokers.apache import ApacheBroker
from ops.processes.service import CannotStartError, check_start
from ops.processes.worker import needed_topics
from streams.kafka import provision
from streams.settings import load_settings
from tests.support.acls import ACLS, Acls
from topics import catalogue
from topics.access import Operation

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def options() -> Iterator[dict[str, Any]]:
    reason = kafka_jars.missing()
    if reason is not None:
        pytest.skip(reason)
    with ApacheBroker(settings=ACLS) as started:
        yield {"bootstrap_servers": started.bootstrap_servers}


@pytest.mark.parametrize(
    ("topic", "allowed", "needed"),
    [
        ("agent.responses", (), "Write"),
        ("agent.responses", ("Describe",), "Write"),
        ("agent.requests.normal", ("Write",), "Read"),
        ("cache.entries", ("Read",), "Write"),
        ("cache.entries", ("Write", "DescribeConfigs"), "Read"),
    ],
)
async def test_a_worker_does_not_start_and_says_which_acl_is_missing(
    options: dict[str, Any], topic: str, allowed: tuple[Operation, ...], needed: str
) -> None:
    """kafka#1428, akhq#116 and kafka-node#1304 in kind: what may not be described looks as if it were not there."""
    await provision.apply(options, catalogue(12))
    settings = load_settings(
        environ={
            "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": options["bootstrap_servers"],
            "HEADRACE_TOPICS__PARTITIONS": "12",
        }
    )
    await check_start(settings, needed_topics(settings))
    async with Acls(options) as acls:
        await acls.allow_only(topic, *allowed)
        said = ""
        async with asyncio.timeout(60):  # a broker learns of an ACL from its log
            while not said:
                try:
                    await check_start(settings, needed_topics(settings))
                except CannotStartError as error:
                    said = str(error)
    assert f"an ACL is missing, this user needs {needed} on topic {topic}" in said
    assert "topics apply" not in said


async def test_topics_apply_and_check_and_a_reader_name_the_acl(options: dict[str, Any]) -> None:
    """druid#3598 and ansible-kafka-admin#123 in kind."""
    await provision.apply(options, catalogue(12))
    async with Acls(options) as acls:
        await acls.allow_only("scaling.events")
        async with asyncio.timeout(60):
            while not (await provision.check(options, catalogue(12))).differences:
                pass  # it asks a broker, which takes its time
        for report in (await provision.apply(options, catalogue(12)), await provision.check(options, catalogue(12))):
            assert [str(each) for each in report.differences] == [
                "scaling.events: an ACL is missing, this user needs Describe on topic scaling.events"
            ]
            assert report.done == ()
        async with open_reader(options) as consumer:
            with pytest.raises(TopicMissingError, match=r"needs Describe on topic scaling\.events"):
                await partitions_of(consumer, ["scaling.events"])
            with pytest.raises(TopicMissingError, match=r"not on the broker: no\.such\.topic"):
                await partitions_of(consumer, ["no.such.topic"])
