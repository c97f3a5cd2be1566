"""What bootstrap addresses say is judged before a client is made: silence in seconds, several clusters in one line."""

from __future__ import annotations

import asyncio

import pytest

from streams.kafka.connection_causes import Asked, ask_all, causes_of, wrong_cluster
from streams.kafka.provision import BrokerUnreachableError, usable
from tests.support.stopwatch import Stopwatch


async def keep_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def test_heka_1229_silent_addresses_are_told_within_seconds_and_not_one_after_the_other() -> None:
    """mozilla-services/heka#1229: four minutes without a word where the list of hosts was wrong."""
    server = await asyncio.start_server(keep_silent, "127.0.0.1", 0)
    async with server:
        silent = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        watch = Stopwatch()
        with pytest.raises(BrokerUnreachableError, match="no answer in time") as caught:
            await usable({"bootstrap_servers": [silent, silent, silent, "127.0.0.1:1"]})
        assert watch.running_s < 9
    assert "127.0.0.1:1: nobody listens there" in str(caught.value)


async def test_an_address_in_ipv6_is_asked_and_named_in_brackets() -> None:
    (asked,) = await ask_all({"bootstrap_servers": "[::1]:1"})
    assert asked.address == "[::1]:1"
    assert asked.cause is not None


def test_librdkafka_1285_brokers_of_two_clusters_are_told_in_one_line() -> None:
    """confluentinc/librdkafka#1285: a broker that was moved to another cluster, and a client that then wrote to both."""
    said = wrong_cluster([Asked("a:1", "X"), Asked("b:1", "X"), Asked("c:1", "Y"), Asked("d:1", cause="no")], None)
    assert said is not None
    assert "a:1 is of X, b:1 is of X, c:1 is of Y" in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ([Asked("a:1", "X"), Asked("b:1", "X"), Asked("c:1", cause="no")], None),
        ([Asked("a:1", "X"), Asked("b:1", None)], "X"),
        ([Asked("a:1", None)], "X"),
    ],
    ids=["one is down", "one is too old to tell", "none tells"],
)
def test_what_is_not_known_to_differ_is_no_fault(asked: list[Asked], wanted: str | None) -> None:
    assert wrong_cluster(asked, wanted) is None


def test_the_cluster_that_is_meant_is_held() -> None:
    said = wrong_cluster([Asked("a:1", "X")], "Y")
    assert said is not None
    assert "kafka.cluster_id wants Y" in said


def test_causes_are_told_once_with_their_addresses() -> None:
    asked = [Asked("a:1", cause="no"), Asked("b:1", cause="why"), Asked("c:1", cause="no"), Asked("d:1", "X")]
    assert causes_of(asked) == "a:1, c:1: no; b:1: why; d:1: it answers now"
