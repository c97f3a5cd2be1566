"""Requests of tenants in the index: whose they are, found by it, and nobody speaks for another."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.ui.index import letters, queries
from ops.ui.index.events import Answered, Asked, Died, read_event
from ops.ui.index.filters import Filters, read_filters
from ops.ui.index.merge import merged
from ops.ui.index.places import Places
from ops.ui.index.store import IndexStore
from ops.ui.timeline import traced
from schemas.dead_letter import DeadLetter
from streams.trace.header import Trace, encode
from tests.unit.ui.models import T0, ARecord, answer_value, request_value
from topics.names import TopicNames

NAMES = TopicNames.behind("", ["acme", "bee"])
PLACES = Places(NAMES)
TRACE = encode(Trace("none", 9000, 3, 5, 6, 7))


def letter(topic: str, offset: int) -> list[tuple[str, bytes]]:
    headers = DeadLetter(
        dlq_reason="exhausted", dlq_error_type="provider_error", dlq_error_message="no", dlq_attempts=3, dlq_stage="providers",
        dlq_topic=topic, dlq_partition=0, dlq_offset=offset, dlq_timestamp=T0,
    ).to_headers()  # fmt: skip
    return [(name, value or b"") for name, value in headers]


def test_a_request_its_answer_and_its_dead_letter_meet_at_one_place_of_their_tenant() -> None:
    asked = read_event(PLACES, "agent.requests.acme.high", 0, ARecord(7, T0, request_value()))
    headers = [("ce_id", b"agent.requests.acme.high:0:7"), ("trace", TRACE)]
    answered = read_event(PLACES, "agent.responses.acme", 2, ARecord(1, T0 + 900, answer_value(), None, headers))
    died = read_event(
        PLACES, "agent.requests.acme.dlq", 1, ARecord(3, T0 + 950, b"", None, letter("agent.requests.acme.high", 7))
    )
    assert isinstance(asked, Asked)
    assert isinstance(answered, Answered)
    assert isinstance(died, Died)
    assert asked.place == answered.place == died.place
    row = merged(merged(merged(None, answered), asked), died)
    assert (row.tenant, row.queue, row.answer_topic, row.dead_next) == ("acme", "acme.high", "", 4)
    assert [step.title for step in traced(row)], "the timeline needs no look at Kafka"
    common = read_event(PLACES, "agent.requests.high", 0, ARecord(7, T0, request_value()))
    assert common is not None
    assert common.place != asked.place


@pytest.mark.parametrize(
    "topic", ["agent.responses", "agent.responses.bee", "agent.responses.bee.own", "agent.responses.other"]
)
def test_nobody_answers_a_tenants_request_on_a_topic_that_is_not_its_own(topic: str) -> None:
    headers = [("ce_id", b"agent.requests.acme.high:0:7")]
    assert read_event(PLACES, topic, 0, ARecord(1, T0, answer_value(), None, headers)) is None


def test_a_letter_counts_on_its_own_tenants_topic_alone() -> None:
    for topic in ("agent.requests.dlq", "agent.requests.bee.dlq"):
        assert read_event(PLACES, topic, 0, ARecord(1, T0, b"", None, letter("agent.requests.acme.high", 7))) is None


def test_tenants_are_filtered_and_their_letters_are_groups_of_their_own(tmp_path: Path) -> None:
    store = IndexStore(tmp_path / "ui", keep=1000, disk_bytes=10**9)
    try:
        places = store.places(NAMES)
        for number, tenant in enumerate(["acme", "bee", "acme", ""]):
            topic = f"agent.requests.{tenant}.low" if tenant else "agent.requests.low"
            asked = read_event(places, topic, 0, ARecord(number, T0 + number, request_value(f"r-{number}")))
            dead_topic = NAMES.dead_letters_of(tenant)
            died = read_event(places, dead_topic, 0, ARecord(number, T0 + 50, b"", None, letter(topic, number)))
            assert asked is not None
            assert died is not None
            store.apply([asked, died], {})
        wanted = read_filters({"tenant": ["acme"]})
        assert wanted == Filters(tenant="acme")
        assert [row.request_id for row in queries.page(store, wanted, None, 10).rows] == ["r-2", "r-0"]
        groups, _ = letters.dead_groups(store)
        assert {(each.tenant, each.count) for each in groups} == {("acme", 2), ("bee", 1), ("", 1)}
        (only,), _ = letters.dead_groups(store, tenant=places.number_of("bee"))
        assert only.example.request_id == "r-1"
    finally:
        store.close()


def test_a_tenant_that_goes_and_comes_back_has_its_rows_again(tmp_path: Path) -> None:
    store = IndexStore(tmp_path / "ui", keep=1000, disk_bytes=10**9)
    try:
        before = store.places(NAMES).read("agent.requests.bee.low:1:2")
        assert store.places(TopicNames.behind("", ["new"])).read("agent.requests.bee.low:1:2") is None
        assert store.places(TopicNames.behind("", ["aaa", "bee", "new"])).read("agent.requests.bee.low:1:2") == before
    finally:
        store.close()
