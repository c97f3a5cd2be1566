"""A caller may have its answer on the response topic or on a known topic behind the prefix, and nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topics import PRIORITIES, PRIORITY_OF, REQUEST_TOPICS, TOPIC_OF, catalogue, legal_topic_name, valid_reply_to

KNOWN = {spec.name for spec in catalogue()} | {"agent.responses.chat", "agent.responses.", "other", "agent.responsesX"}


@pytest.mark.parametrize("name", ["agent.responses", "agent.responses.chat"])
def test_a_known_response_topic_is_valid(name: str) -> None:
    assert valid_reply_to(name, KNOWN)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "other",
        "agent.responsesX",
        "agent.responses.",
        "agent.responses.unknown",
        "agent.requests.high",
        "agent.requests.dlq",
        "__consumer_offsets",
        "agent.responses.chat\n",
        " agent.responses",
        "AGENT.RESPONSES",
        "agent.responses.чат",
        "agent.responses/../other",
        "agent.responses." + "x" * 300,
    ],
)
def test_any_other_name_is_not(name: str) -> None:
    assert not valid_reply_to(name, KNOWN)


def test_an_illegal_name_is_not_valid_even_if_it_were_known() -> None:
    assert not valid_reply_to("agent.responses.a b", {"agent.responses.a b"})


def test_the_prefix_is_a_setting() -> None:
    assert valid_reply_to("answers.a", {"answers.a"}, prefix="answers.")
    assert not valid_reply_to("agent.responses.chat", KNOWN, prefix="answers.")


def test_a_response_topic_that_does_not_exist_is_not_valid() -> None:
    assert not valid_reply_to("agent.responses", set())


@given(st.text(max_size=300))
def test_only_names_that_kafka_takes_are_legal(name: str) -> None:
    plain = all(c.isascii() and (c.isalnum() or c in "._-") for c in name)
    assert legal_topic_name(name) == (plain and 0 < len(name) <= 249 and name not in {".", ".."})


def test_priorities_and_request_topics_are_in_the_same_order() -> None:
    assert tuple(TOPIC_OF[priority] for priority in PRIORITIES) == REQUEST_TOPICS
    assert tuple(PRIORITY_OF[topic] for topic in REQUEST_TOPICS) == PRIORITIES
