"""Names of tenants and of their topics: no tenant's are another's, or the fleet's own."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.settings import load_settings
from topics.names import V1, TopicNames, legal_topic_name
from topics.tenant_names import TENANT_CHARS, tenant_fault

NAMES = TopicNames.behind("x.", ("a", "ab", "chat"))
TENANTS = st.text("ab-9", min_size=1, max_size=4).filter(lambda name: tenant_fault(name) is None)


@pytest.mark.parametrize("name", ["a", "team-1", "9", "a" * TENANT_CHARS])
def test_these_may_be_tenants(name: str) -> None:
    assert tenant_fault(name) is None


@pytest.mark.parametrize(
    "name",
    # apache/kafka, Topic.hasCollisionChars: "." and "_" are one to the broker's metrics
    ["", "A", "a_b", "a.b", "a.high", "high", "dlq", "front", "-a", "a-", "a b", "ä", "a\n", "a" * (TENANT_CHARS + 1)],
)
def test_these_may_not(name: str) -> None:
    assert tenant_fault(name) is not None


@given(st.sets(TENANTS, max_size=5))
def test_no_topic_of_a_tenant_is_anybody_elses(tenants: set[str]) -> None:
    names = TopicNames.behind("", sorted(tenants))
    assert len(set(names.all)) == len(names.all) == len(V1.all) + 5 * len(tenants)
    assert all(map(legal_topic_name, names.all))
    for one, other in itertools.permutations(names.tenants.values(), 2):
        assert not any(topic.startswith(one.reply_to_prefix) for topic in other.all)


def test_what_a_request_topic_says() -> None:
    assert NAMES.request_topics["x.agent.requests.ab.low"].tenant == "ab"
    assert NAMES.request_topics["x.agent.requests.ab.low"].priority == "low"
    assert NAMES.request_topics["x.agent.requests.low"].tenant == ""


@pytest.mark.parametrize(
    ("topic", "tenant", "may"),
    [
        ("x.agent.responses.a", "a", True),
        ("x.agent.responses.a.chat", "a", True),
        ("x.agent.responses.ab", "a", False),
        ("x.agent.responses.ab.chat", "a", False),
        ("x.agent.responses", "a", False),
        ("x.agent.responses.anything", "a", False),
        ("agent.responses.a", "a", False),
        ("x.agent.responses.front", "a", True),
        ("x.agent.responses.front", "", True),
        ("x.agent.responses", "", True),
        ("x.agent.responses.anything", "", True),
        ("x.agent.responses.chat", "", False),
        ("x.agent.responses.chat.more", "", False),
    ],
)
def test_an_answer_goes_to_topics_of_its_own_tenant_alone(topic: str, tenant: str, may: bool) -> None:
    assert NAMES.may_answer_on(topic, tenant) is may


def test_without_tenants_the_names_are_those_of_the_contract() -> None:
    assert V1.requests == V1.common
    assert (V1.all_responses, V1.all_dead_letters) == ((V1.responses,), (V1.dead_letters,))


def test_a_tenants_topics_keep_records_as_long_as_it_says_and_close_their_segments_in_time() -> None:
    """apache/kafka: retention deletes closed segments alone, and one is closed after a week where nobody says otherwise."""
    settings = load_settings(
        environ={
            "HEADRACE_TENANTS__ACME__RETENTION__ANSWERS": "2h",
            "HEADRACE_TENANTS__ACME__RETENTION__DEAD_LETTERS": "30m",
            "HEADRACE_TENANTS__BETA__WEIGHT": "2",
        }
    )
    config = {spec.name: spec.config for spec in settings.catalogue()}
    kept = {name: (each["retention.ms"], each.get("segment.ms")) for name, each in config.items()}
    assert kept["agent.responses.acme"] == ("7200000", "900000")
    assert kept["agent.requests.acme.dlq"] == ("1800000", "600000")
    assert kept["agent.requests.acme.high"] == kept["agent.requests.beta.high"] == ("86400000", None)
    assert settings.topics.names.as_tenant("acme").responses == "agent.responses.acme"
