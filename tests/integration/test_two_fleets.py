"""Two fleets on one cluster, each behind a prefix of its own: nothing of one reaches the other."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import orjson
import pytest

from ops.brokers import Broker
from ops.load.traffic import Traffic
from tests.support.cli import headrace
from tests.support.pipeline import Pipeline, delete_topics, make_topics, request, wait_until
from tests.support.positions import read_all
from tests.support.simulator import Simulator
from topics.names import TopicNames

REQUESTS = 30
QUICK: dict[str, object] = {"metrics__interval": "1s", "metrics__aggregation": "1s", "metrics__grace": "1s"}


@pytest.fixture
async def fleets(kafka: Broker, tmp_path: Path, unique: Callable[[str], str]) -> AsyncIterator[list[Pipeline]]:
    """Two pipelines on one broker; the prefix of the second begins with that of the first."""
    prefix = unique("blue")
    async with AsyncExitStack() as stack:
        found = []
        for names in (TopicNames.behind(f"{prefix}."), TopicNames.behind(f"{prefix}.green-")):
            directory = tmp_path / names.prefix
            directory.mkdir()
            simulator = await stack.enter_async_context(Simulator(directory))
            pipeline = Pipeline(kafka, f"{names.prefix}headrace-workers", directory, simulator, names)
            stack.push_async_callback(delete_topics, pipeline.client_options, names.all)
            await make_topics(pipeline.client_options, names)
            found.append(pipeline)
        yield found


async def everything_has_ended(traffic: Traffic) -> bool:
    return traffic.open == 0


@pytest.mark.timeout(120)
async def test_requests_answers_dead_letters_entries_and_samples_stay_with_their_fleet(fleets: list[Pipeline]) -> None:
    others = {fleets[0].names.prefix: fleets[1].names, fleets[1].names.prefix: fleets[0].names}
    async with AsyncExitStack() as stack:
        for pipeline in fleets:
            names = pipeline.names
            fleet = await stack.enter_async_context(pipeline.fleet(**QUICK))
            await fleet.start(1)
            traffic = await stack.enter_async_context(pipeline.traffic())
            for n in range(REQUESTS):  # the same in both fleets: what one has paid for must not answer the other
                await traffic.send("normal", "agent", request(f"r-{n}"))
            await traffic.send("high", "agent", b"{")
            astray = [("reply_to", others[names.prefix].responses.encode())]
            await traffic.send("low", "agent", request("astray"), headers=astray)
            await wait_until(partial(everything_has_ended, traffic), 60)
            await pipeline.wait_all_committed(60)

        async def both_have_told_samples() -> bool:
            return all([await read_all(each.client_options, [each.names.metric_samples]) for each in fleets])

        await wait_until(both_have_told_samples, 60)

    for pipeline in fleets:
        names = pipeline.names
        assert pipeline.simulator.calls_by_id() == Counter(f"r-{n}" for n in range(REQUESTS))
        answers = [orjson.loads(each.value) for each in await read_all(pipeline.client_options, [names.responses])]
        assert Counter(each["request_id"] for each in answers) == Counter(
            ["astray", *(f"r-{n}" for n in range(REQUESTS))]
        )
        assert [each["error"]["type"] for each in answers if each["request_id"] == "astray"] == ["invalid_reply_to"]
        (letter,) = await read_all(pipeline.client_options, [names.dead_letters])
        assert dict(letter.headers)["dlq_topic"].decode() == names.requests[0]
        assert len(await read_all(pipeline.client_options, [names.cache_entries])) >= REQUESTS
        assert len({each.key for each in await read_all(pipeline.client_options, [names.metric_samples])}) == 1


async def test_commands_take_the_topics_of_their_settings(fleets: list[Pipeline]) -> None:
    blue, green = fleets
    async with blue.fleet() as fleet:
        await fleet.start(1)
        sent = await headrace("send", "hello", "--json", settings=blue.settings())
        checked = await headrace("topics", "check", "--json", settings=green.settings())
        async with blue.traffic() as traffic:
            await traffic.send("low", "agent", b"{")
            await wait_until(partial(everything_has_ended, traffic), 60)
        of_blue, of_green = [
            orjson.loads((await headrace("dlq", "list", "--json", settings=each.settings())).out)["dead_letters"]
            for each in fleets
        ]
        replayed = await headrace("dlq", "replay", "--reason", "poison", "--yes", "--json", settings=blue.settings())
    assert (sent.code, checked.code) == (0, 0), sent.err + checked.err
    assert [each["origin"].rpartition(":")[0].rpartition(":")[0] for each in of_blue] == [blue.names.topic_of["low"]]
    assert of_green == []
    assert orjson.loads(replayed.out)["sent"][0]["topic"] == blue.names.topic_of["low"]
    assert green.simulator.calls() == []
